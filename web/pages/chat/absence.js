// When the person or the page was away, and how many messages arrived meanwhile. No I/O.
//
// There are three reasons to be away, possibly several at a time:
// - hidden: another tab is in front
// - network: from the loss of the connection until the missed messages have arrived
// - asleep: the machine slept or the browser froze the page. The clock has jumped, but the
//   connection may have survived

/** Milliseconds between two signs of life of a running page. */
export const AWAKE_INTERVAL = 5_000;
// A longer silence means that the page slept. Timers of a hidden page may fire once a minute.
const ASLEEP_AFTER = 3 * AWAKE_INTERVAL;
const ASLEEP_AFTER_HIDDEN = 90_000;

export class Absence {
  #reasons = new Set();
  #missed = 0;
  #lastAwake = null;
  #wokeAt = 0;

  begin(reason) {
    this.#reasons.add(reason);
  }

  /** Returns the number of missed messages if this was the last reason, otherwise 0. */
  end(reason) {
    if (!this.#reasons.delete(reason) || this.#reasons.size) return 0;
    const missed = this.#missed;
    this.#missed = 0;
    return missed;
  }

  /** A message from somebody else arrived. Returns whether it is the first one missed. */
  missed() {
    if (!this.#reasons.size) return false;
    this.#missed += 1;
    return this.#missed === 1;
  }

  /** The page runs at `now`, by a clock that counts the machine's sleep. Returns as end(). */
  awake(now) {
    const silence = this.#lastAwake === null ? 0 : now - this.#lastAwake;
    this.#lastAwake = now;
    if (silence >= (this.#reasons.has("hidden") ? ASLEEP_AFTER_HIDDEN : ASLEEP_AFTER)) {
      this.#wokeAt = now;
      this.begin("asleep");
    }
    // Messages that waited in the socket arrive in the first moments after waking.
    return now - this.#wokeAt >= AWAKE_INTERVAL ? this.end("asleep") : 0;
  }
}
