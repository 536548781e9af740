// What a page needs that follows patterns: the connection with its status, the token form, and one
// place that says whether the page is loading, refused, offline or live.

import { TOKEN_ERRORS } from "../../client/errors.js";
import { EventHub } from "../../client/eventhub.js";
import { Http } from "../../client/http.js";
import { byId } from "./dom.js";
import { SERVER } from "./place.js";
import { StatusView } from "./status.js";
import { Token } from "./token.js";

export class Live {
  /** loading, live, or refused (with an EventHubError in `error`). */
  state = "loading";
  error = null;
  #status;
  #token;
  #hub;
  #onChange;
  #patterns = [];
  #options = null;
  #subscriptions = [];
  #replaying = new Set();
  #connection = { state: "connecting" };

  /** `focus`: what is focused after the token form. `onChange()`: of the state or connection. */
  constructor(focus, onChange) {
    this.#onChange = onChange;
    this.#status = new StatusView(byId("status"), () => this.#retry());
    this.#token = new Token(byId("token"), focus, (token) => this.#onToken(token));
    this.http = new Http({ base: SERVER.href, token: () => this.#token.value });
    this.#hub = new EventHub(SERVER, {
      token: this.#token.value,
      onStatus: (status) => this.#onStatus(status),
      onAuthenticated: () => this.#onAuthenticated(),
      onExpiring: () => this.#token.ask({ code: "expiring" }),
    });
  }

  get token() {
    return this.#token.value;
  }

  /** The status of the connection. */
  get connection() {
    return this.#connection;
  }

  /**
   * Follows these channels and patterns in place of the ones before. `options` as for
   * EventHub.subscribe; onReplayed() is called when all of them have their history.
   */
  follow(patterns, options) {
    this.stop();
    this.#patterns = patterns;
    this.#options = options;
    this.state = "loading";
    this.error = null;
    this.#status.refuse(null);
    this.#replaying = new Set(patterns);
    this.#subscriptions = patterns.map((pattern) =>
      this.#hub.subscribe(pattern, {
        ...options,
        onSubscribed: () => this.#accepted(),
        onReplayed: () => this.#onReplayed(pattern),
        onError: (error) => this.#onError(error),
      }),
    );
    this.#onChange();
  }

  stop() {
    for (const each of this.#subscriptions.splice(0)) this.#hub.unsubscribe(each);
  }

  #accepted() {
    this.#token.done();
    this.#status.refuse(null);
    if (this.state !== "refused") return;
    this.state = this.#replaying.size ? "loading" : "live";
    this.error = null;
    this.#onChange();
  }

  #onReplayed(pattern) {
    this.#replaying.delete(pattern);
    if (this.#replaying.size || this.state !== "loading") return;
    this.state = "live";
    this.#options.onReplayed?.();
    this.#onChange();
  }

  #onError(error) {
    if (error.refusal) this.#token.ask(error);
    this.#status.refuse(error);
    this.state = "refused";
    this.error = error;
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

  #again() {
    if (this.state === "refused") this.follow(this.#patterns, this.#options);
  }
}
