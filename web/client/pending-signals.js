// Signals, and updates of members, that the server has not answered yet. They are sent once: what a
// lost connection has not answered is forgotten. No I/O.

import { EventHubError } from "./errors.js";

export class PendingSignals {
  #send;
  #limit;
  #pending = new Map();

  /** `send(text)`: whether there is an open connection. `limit`: unanswered ones at a time. */
  constructor(send, limit) {
    this.#send = send;
    this.#limit = limit;
    this.maxBytes = Infinity;
  }

  /** Resolves with whether the server accepted it; rejects with an EventHubError. */
  async send(message) {
    const text = JSON.stringify(message);
    if (new TextEncoder().encode(text).length > this.maxBytes) {
      const fault = `the message is larger than ${this.maxBytes} bytes`;
      throw new EventHubError("payload_too_large", fault);
    }
    if (this.#pending.size >= this.#limit || !this.#send(text)) return false;
    return new Promise((resolve, reject) => this.#pending.set(message.ref, { resolve, reject }));
  }

  accept(ref) {
    this.#take(ref)?.resolve(true);
  }

  /** Returns whether the refused command was one of them. */
  reject(ref, error) {
    const signal = this.#take(ref);
    signal?.reject(error);
    return signal !== undefined;
  }

  /** The connection is gone, and their answers with it. */
  forget() {
    for (const ref of [...this.#pending.keys()]) this.#take(ref).resolve(false);
  }

  #take(ref) {
    const signal = this.#pending.get(ref);
    this.#pending.delete(ref);
    return signal;
  }
}
