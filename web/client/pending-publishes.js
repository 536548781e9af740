// Publishes that the server has not answered yet. Each connection sends them again, with the same
// idempotency key. No I/O.

import { EventHubError } from "./errors.js";

export class PendingPublishes {
  #send;
  #pending = new Map();
  #maxBytes = Infinity;

  /** `send(text)`: sends a text frame on the open connection. */
  constructor(send) {
    this.#send = send;
  }

  get size() {
    return this.#pending.size;
  }

  has(ref) {
    return this.#pending.has(ref);
  }

  /** Resolves with the `published` message; rejects with an EventHubError. */
  add(message) {
    return new Promise((resolve, reject) => {
      this.#pending.set(message.ref, { text: JSON.stringify(message), resolve, reject });
    });
  }

  /** Sends one publish. One above the server's limit is rejected: it would close the connection. */
  send(ref) {
    const { text } = this.#pending.get(ref);
    const size = new TextEncoder().encode(text).length;
    if (size <= this.#maxBytes) return this.#send(text);
    const fault = `the event takes ${size} bytes; at most ${this.#maxBytes} are allowed`;
    this.reject(ref, new EventHubError("payload_too_large", fault));
  }

  /** Sends all of them on a new connection, which takes messages of `maxBytes`. */
  sendAll(maxBytes) {
    this.#maxBytes = maxBytes;
    for (const ref of [...this.#pending.keys()]) this.send(ref);
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

  #take(ref) {
    const publish = this.#pending.get(ref);
    this.#pending.delete(ref);
    return publish;
  }
}
