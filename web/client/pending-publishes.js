// Publishes that the server has not answered yet. Each connection sends them again, with the same
// idempotency key. No I/O.

import { EventHubError } from "./errors.js";

export class PendingPublishes {
  #connection;
  #clock;
  #pending = new Map();
  #maxBytes = Infinity;

  constructor(connection, clock) {
    this.#connection = connection;
    this.#clock = clock;
  }

  get size() {
    return this.#pending.size;
  }

  has(ref) {
    return this.#pending.has(ref);
  }

  /**
   * Resolves with the `published` message; rejects with an EventHubError. It is not sent, and not
   * sent again, when it is older than `maxAge` seconds.
   */
  add(message, maxAge) {
    // A machine that sleeps may stop the first clock, and the second may be set.
    const clocks = [() => this.#clock.now(), () => this.#clock.date()];
    const ends = clocks.map((clock) => clock() + maxAge * 1000);
    const old = () => clocks.some((clock, index) => clock() >= ends[index]);
    return new Promise((resolve, reject) => {
      this.#pending.set(message.ref, { text: json(message), old, resolve, reject });
      this.send(message.ref);
      if (maxAge === Infinity) return;
      this.#clock.setTimeout(() => this.#expire(message.ref), maxAge * 1000);
    });
  }

  /** Sends one publish. One above the server's limit is rejected: it would close the connection. */
  send(ref) {
    const publish = this.#pending.get(ref);
    if (publish.old()) return this.#expire(ref);
    const { text } = publish;
    const size = new TextEncoder().encode(text).length;
    if (size <= this.#maxBytes) return void (publish.sent = this.#connection.send(text));
    const fault = `the event takes ${size} bytes; at most ${this.#maxBytes} are allowed`;
    this.reject(ref, new EventHubError("payload_too_large", fault));
  }

  /** Sends all of them on a new connection, which takes messages of `maxBytes`. */
  sendAll(maxBytes) {
    this.#maxBytes = maxBytes;
    for (const ref of [...this.#pending.keys()]) this.send(ref);
  }

  /** The connection is gone, and the answers with it. */
  lost() {
    for (const [ref, publish] of this.#pending) {
      publish.sent = false;
      if (publish.old()) this.#expire(ref);
    }
  }

  resolve(ref, published) {
    this.#take(ref)?.resolve(published);
  }

  reject(ref, error) {
    this.#take(ref)?.reject(error);
  }

  rejectAll(error) {
    for (const ref of [...this.#pending.keys()]) this.reject(ref, error);
  }

  // One that is sent is answered.
  #expire(ref) {
    if ((this.#pending.get(ref) ?? { sent: true }).sent) return;
    const fault = "the event was not stored within its `maxAge`, as far as is known";
    this.reject(ref, new EventHubError("too_old", fault));
  }

  #take(ref) {
    const publish = this.#pending.get(ref);
    this.#pending.delete(ref);
    return publish;
  }
}

export const json = (command) => JSON.stringify(command, checked);

/** Refuses what JSON.stringify turns into null, and functions. `this` holds the value. */
function checked(name, value) {
  const given = this[name];
  const lost =
    value == null
      ? given !== value || (value !== null && Array.isArray(this))
      : /^[fn]/.test(typeof value) && !Number.isFinite(value);
  if (lost) throw new TypeError(`"${name}": JSON has no ${given}`);
  return value;
}
