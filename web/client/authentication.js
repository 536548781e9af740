// The token of each connection, and when to renew it (PROTOCOL.md, "Authentication").
// No I/O, no timers.

export class Authentication {
  #source;
  #token = null;
  #ref = null;
  #requests = 0;
  #acceptedAt = null;

  /** `source`: a token (a string), null, or a function that returns one or a promise of one. */
  constructor(source) {
    this.#source = source;
  }

  /** Replaces the source. */
  use(source) {
    this.#source = source;
    this.#token = null;
  }

  /** Whether the source is a function, which can return another token. */
  get renewable() {
    return typeof this.#source === "function";
  }

  /** Whether the server accepted a token on this connection. */
  get accepted() {
    return this.#acceptedAt !== null;
  }

  /** Gets the token for a new connection. Returns a promise if the source is a function. */
  prepare() {
    this.#ref = this.#acceptedAt = null;
    this.#token = null;
    if (!this.renewable) return this.#setToken(this.#source);
    // Called inside a promise, so that a function that throws rejects it.
    return Promise.resolve()
      .then(this.#source)
      .then((token) => this.#setToken(token));
  }

  /** Gets another token for this connection. Resolves with whether there is a new one. */
  async renew() {
    const before = this.#token;
    const token = this.renewable ? await this.#source() : this.#source;
    this.#setToken(token);
    return this.#token !== null && this.#token !== before;
  }

  /** The `auth` message; null without a token. */
  request() {
    if (this.#token === null) return null;
    this.#requests += 1;
    this.#ref = `token-${this.#requests}`;
    return { type: "auth", ref: this.#ref, token: this.#token };
  }

  /** Whether `message` answers the last `auth` message. */
  answeredBy(message) {
    return this.#ref !== null && message.ref === this.#ref;
  }

  accept(now) {
    this.#acceptedAt = now;
  }

  /**
   * Milliseconds until a token that expires in `seconds` should be renewed: half of its lifetime
   * since it was accepted. The server warns at that time at the earliest.
   */
  renewalDelay(seconds, now) {
    return Math.max(0, seconds * 500 - (now - this.#acceptedAt));
  }

  #setToken(token) {
    this.#token = token || null;
  }
}
