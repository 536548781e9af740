// Signals that the server has not answered yet. They are sent once: what a lost connection has not
// answered is forgotten. No I/O.

export class PendingSignals {
  #pending = new Map();

  get size() {
    return this.#pending.size;
  }

  /** Resolves with whether the server accepted it; rejects with an EventHubError. */
  add(ref) {
    return new Promise((resolve, reject) => this.#pending.set(ref, { resolve, reject }));
  }

  accept(ref) {
    this.#take(ref)?.resolve(true);
  }

  /** Returns whether the refused command was a signal. */
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
