// The token of each connection, and when to renew it (PROTOCOL.md, "Authentication"). It is loaded
// when there is a token. No I/O, no timers.

import { TEMPORARY_ERRORS } from "./errors.js";

// The server may accept the same token later.
const RETRYABLE = new Set([...TEMPORARY_ERRORS, "too_many_connections"]);

export class Authentication {
  #source;
  #options;
  #connection;
  #on;
  #token = null;
  #ref = null;
  #requests = 0;
  #acceptedAt = null;

  /**
   * `options.token`: a token (a string), null, or a function that returns one or a promise of one.
   * `on`: later(milliseconds, action): runs the action unless there is a new connection by then,
   * same(): a function that says whether there is none.
   */
  constructor(options, connection, on) {
    this.#source = options.token;
    this.#options = options;
    this.#connection = connection;
    this.#on = on;
  }

  /** Replaces the source. */
  use(source) {
    this.#source = source;
    this.#token = null;
  }

  /** Gets the token for a new connection. Returns a promise if the source is a function. */
  prepare() {
    this.#ref = this.#acceptedAt = null;
    this.#token = null;
    if (!this.#renewable) return this.#setToken(this.#source);
    // Called inside a promise, so that a function that throws rejects it.
    const asking = Promise.resolve().then(this.#source);
    return this.#reported(asking.then((token) => this.#setToken(token)));
  }

  /** Sends the token. The other messages follow at once: the server handles them in order. */
  send() {
    if (this.#token === null) return;
    this.#requests += 1;
    this.#ref = `token-${this.#requests}`;
    const message = { type: "auth", ref: this.#ref, token: this.#token };
    this.#connection.send(JSON.stringify(message));
  }

  /** Gets another token for this connection, and sends it if it is new. */
  async renew() {
    const same = this.#on.same();
    // After a failure, the connection ends with its token and the next one asks for another.
    const renewed = await this.#reported(this.#renew()).catch(() => false);
    if (renewed && same()) this.send();
  }

  /** Returns whether the message was for it. */
  receive(message) {
    const { type, ref } = message;
    const answer = this.#ref !== null && ref === this.#ref;
    if (type === "authenticated" && answer) this.#onAuthenticated(message);
    if (type === "error" && answer) this.#onRefused(message);
    if (type === "expiring") this.#onExpiring(message);
    return answer || type === "expiring";
  }

  /** The token of a machine that slept has expired on waking: the function returns another. */
  canRenew(code) {
    return code === "token_expired" && this.#renewable && this.#acceptedAt !== null;
  }

  get #renewable() {
    return typeof this.#source === "function";
  }

  async #renew() {
    const before = this.#token;
    this.#setToken(this.#renewable ? await this.#source() : this.#source);
    return this.#token !== null && this.#token !== before;
  }

  #onAuthenticated(message) {
    this.#acceptedAt = this.#options.clock.now();
    this.#options.onAuthenticated(message);
  }

  #onRefused({ code, message }) {
    if (RETRYABLE.has(code)) return this.#connection.retry(message);
    // The new token is another principal's, which needs a connection of its own.
    if (code === "forbidden" && this.#acceptedAt !== null) return this.#connection.restart();
    this.#connection.close(message, code, "get another token, and call setToken()");
  }

  // Half of the lifetime of the token since it was accepted. The server warns then at the earliest.
  #onExpiring(message) {
    this.#options.onExpiring(message);
    if (!this.#renewable) return;
    const passed = this.#options.clock.now() - this.#acceptedAt;
    const delay = Math.max(0, message.expires_in * 500 - passed);
    if (delay === 0) this.renew();
    else this.#on.later(delay, () => this.renew());
  }

  #reported(promise) {
    promise.catch((error) => this.#options.onTokenError(error));
    return promise;
  }

  #setToken(token) {
    this.#token = token || null;
  }
}
