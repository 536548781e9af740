// When the person, or the page, was away, and how many messages came meanwhile. No I/O.
//
// One can be away for several reasons at a time: `hidden` (another tab is in front), `network` (from the loss of the connection until
// what was missed has arrived), `asleep` (the machine slept, or the page was frozen: its clock has jumped, and the socket may have lived).

/** Milliseconds: how often a page that is awake says so, and how long a silence means that it slept. */
export const AWAKE = 5_000;
const ASLEEP = 3 * AWAKE;
// The timers of a hidden page may go off once a minute.
const ASLEEP_HIDDEN = 90_000;

export class Absence {
  #reasons = new Set();
  #missed = 0;
  #heard = null;
  #woke = 0;

  begin(reason) {
    this.#reasons.add(reason);
  }

  /** How many messages were missed, when this was the last reason to be away; otherwise 0. */
  end(reason) {
    if (!this.#reasons.delete(reason) || this.#reasons.size) return 0;
    const missed = this.#missed;
    this.#missed = 0;
    return missed;
  }

  /** Somebody's message has come: whether it is the first one missed. */
  missed() {
    if (!this.#reasons.size) return false;
    this.#missed += 1;
    return this.#missed === 1;
  }

  /** The page runs, at `now` by the wall clock, which goes on while a machine sleeps. Returns as end() does. */
  awake(now) {
    const silence = this.#heard === null ? 0 : now - this.#heard;
    this.#heard = now;
    if (silence >= (this.#reasons.has("hidden") ? ASLEEP_HIDDEN : ASLEEP)) {
      this.#woke = now;
      this.begin("asleep");
    }
    // What waited in the socket comes in the first moments.
    return now - this.#woke >= AWAKE ? this.end("asleep") : 0;
  }
}
