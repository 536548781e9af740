// The connection of a page, with its status and the token form.

import { TOKEN_ERRORS } from "../../client/errors.js";
import { EventHub } from "../../client/eventhub.js";
import { Http } from "../../client/http.js";
import { byId } from "./dom.js";
import { SERVER } from "./place.js";
import { StatusView } from "./status.js";
import { Token } from "./token.js";

export class Live {
  #errors = new Map(); // by the pattern that is refused
  #status;
  #token;
  #hub;
  #onChange;
  #options = null;
  #subscriptions = new Map();
  #replaying = new Set();
  #connection = { state: "connecting" };

  /**
   * `focus`: what is focused after the token form. `onChange()`: of the state or connection.
   * `options`: of the EventHub.
   */
  constructor(focus, onChange, options = {}) {
    this.#onChange = onChange;
    this.#status = new StatusView(byId("status"), () => this.#retry());
    this.#token = new Token(byId("token"), focus, (token) => this.#onToken(token));
    this.http = new Http({ base: SERVER.href, token: () => this.#token.value });
    this.#hub = new EventHub(SERVER, {
      ...options,
      token: this.#token.value,
      onStatus: (status) => this.#onStatus(status),
      onAuthenticated: () => this.#onAuthenticated(),
      onExpiring: () => this.#token.ask({ code: "expiring" }),
    });
  }

  /** loading, live, or refused: while one of the patterns is. */
  get state() {
    if (this.#errors.size) return "refused";
    return this.#options && this.#replaying.size === 0 ? "live" : "loading";
  }

  /** The first EventHubError of a refused pattern, or null. */
  get error() {
    const [error = null] = this.#errors.values();
    return error;
  }

  get token() {
    return this.#token.value;
  }

  get hub() {
    return this.#hub;
  }

  get connection() {
    return this.#connection;
  }

  /**
   * Follows these channels and patterns in place of the ones before. `options` as for
   * EventHub.subscribe; onReplayed() is called when all of them have their history, and
   * onResumed(pattern, count) when one has it again.
   */
  follow(patterns, options) {
    this.stop();
    this.#options = options;
    this.#errors.clear();
    this.#replaying.clear();
    this.#begin(patterns);
  }

  stop() {
    for (const each of this.#subscriptions.values()) this.#hub.unsubscribe(each);
    this.#subscriptions.clear();
  }

  #begin(patterns) {
    for (const pattern of patterns) {
      this.#errors.delete(pattern);
      this.#replaying.add(pattern);
      const options = {
        ...this.#options,
        onSubscribed: () => this.#accepted(pattern),
        onReplayed: (more) => this.#onReplayed(pattern, more),
        onError: (error) => this.#onError(pattern, error),
      };
      this.#subscriptions.set(pattern, this.#hub.subscribe(pattern, options));
    }
    this.#status.refuse(this.error);
    this.#onChange();
  }

  #accepted(pattern) {
    const wasRefused = this.#errors.delete(pattern);
    if (!this.error?.refusal) this.#token.done();
    this.#status.refuse(this.error);
    if (wasRefused) this.#onChange();
  }

  #onReplayed(pattern, { count, resumed }) {
    if (resumed) this.#options.onResumed?.(pattern, count);
    if (!this.#replaying.delete(pattern) || this.#replaying.size) return;
    this.#options.onReplayed?.();
    this.#onChange();
  }

  /** Asks for a token. */
  ask(error) {
    this.#token.ask(error);
  }

  #onError(pattern, error) {
    if (error.refusal) this.#token.ask(error);
    this.#errors.set(pattern, error);
    this.#status.refuse(this.error);
    this.#onChange();
  }

  #onStatus(status) {
    this.#connection = status;
    this.#status?.show(status);
    if (TOKEN_ERRORS.has(status.code)) this.#token.ask(status);
    this.#onChange();
  }

  #onAuthenticated() {
    this.#token.done();
    this.#again();
  }

  #onToken(token) {
    this.#hub.setToken(token);
    if (!token) this.#again();
  }

  #retry() {
    if (this.#status.refused) this.#again();
    else this.#hub.connect();
  }

  /** The others have their events: they would get them twice. */
  #again() {
    const refused = [...this.#errors.keys()];
    for (const pattern of refused) this.#hub.unsubscribe(this.#subscriptions.get(pattern));
    this.#begin(refused);
  }
}
