// Who this client says it is (PROTOCOL.md, "Authentication"): the token of each connection, and when it is renewed. No I/O, no timers.

/** Codes that say that a token will not do, or that one is missing: another try with the same would meet them again. */
export const REFUSALS = new Set(["unauthorized", "invalid_token", "token_expired", "forbidden", "revoked"]);

export class Authentication {
  #source;
  #token = null;
  #ref = null;
  #sent = 0;
  #acceptedAt = null;

  /** `source`: a token (a string), null, or a function that returns one, now or as a promise. */
  constructor(source) {
    this.#source = source;
  }

  /** From now on, this. */
  use(source) {
    this.#source = source;
    this.#token = null;
  }

  /** Whether another token can be had without asking anybody. */
  get renewable() {
    return typeof this.#source === "function";
  }

  /** Whether the server took a token on this connection. */
  get accepted() {
    return this.#acceptedAt !== null;
  }

  /** Gets the token for a new connection. Returns a promise where it takes time, otherwise nothing. */
  prepare() {
    this.#ref = this.#acceptedAt = null;
    this.#token = null;
    if (!this.renewable) return this.#take(this.#source);
    // A function that throws is one whose promise is rejected.
    return Promise.resolve().then(this.#source).then((token) => this.#take(token));
  }

  /** Gets another token for this connection. Resolves with whether there is one that was not sent yet. */
  async renew() {
    const before = this.#token;
    const token = this.renewable ? await this.#source() : this.#source;
    this.#take(token);
    return this.#token !== null && this.#token !== before;
  }

  /** The message that says so; null for a stranger. */
  request() {
    if (this.#token === null) return null;
    this.#sent += 1;
    this.#ref = `token-${this.#sent}`;
    return { type: "auth", ref: this.#ref, token: this.#token };
  }

  /** Whether a message is the answer to ours. */
  answeredBy(message) {
    return this.#ref !== null && message.ref === this.#ref;
  }

  accept(now) {
    this.#acceptedAt = now;
  }

  /**
   * Milliseconds to wait before a token that expires in so many seconds is renewed: none once half
   * of its life is over, which is when the server warns at the earliest.
   */
  renewalDelay(seconds, now) {
    return Math.max(0, seconds * 500 - (now - this.#acceptedAt));
  }

  #take(token) {
    this.#token = token || null;
  }
}
