// The EventHub client: many channels over one WebSocket, with nothing lost or delivered twice
// (PROTOCOL.md, "A client that loses nothing").
//
//   const hub = new EventHub("https://hub.example", { onStatus: console.log });
//   hub.subscribe("chat.lobby", { since: "-20", onEvent: (event) => console.log(event.data) });
//   await hub.publish("chat.lobby", { sender: "ana", text: "oi" });
//
// The options are in types.d.ts, their defaults in options.js.

import { socketAddress } from "./address.js";
import { Authentication } from "./authentication.js";
import { Channels } from "./channels.js";
import { Connection, backoff } from "./connection.js";
import { EventHubError, TEMPORARY_ERRORS } from "./errors.js";
import { eventsOf } from "./event-queue.js";
import { DEFAULTS } from "./options.js";
import { PendingPublishes } from "./pending-publishes.js";
import { PendingSignals } from "./pending-signals.js";
import { Subscription } from "./subscription.js";

export { EventHubError };

// The server may accept the same token later.
const RETRYABLE_AUTH_ERRORS = new Set([...TEMPORARY_ERRORS, "too_many_connections"]);

export class EventHub {
  #options;
  #authentication;
  #connection;
  #unwatch;
  #ref = 0;
  #channels;
  #publishes;
  #signals;
  #connections = 0;

  /**
   * Connects at once. `url`: the address of the server or of its WebSocket (address.js); a
   * TypeError for any other. A refused token stops the connection; setToken() restarts it.
   * @param {string | URL} url
   * @param {import("./types.js").Options} [options]
   */
  constructor(url, options = {}) {
    this.#options = { ...DEFAULTS, ...options };
    this.#authentication = new Authentication(this.#options.token);
    this.#connection = new Connection(socketAddress(url), this.#options, {
      prepare: () => this.#reportTokenError(this.#authentication.prepare()),
      canRenew: (code) => this.#canRenew(code),
      open: (hello) => this.#onOpen(hello),
      message: (message) => this.#receive(message),
      status: (status) => this.#onStatus(status),
    });
    const send = (text) => this.#connection.send(text);
    this.#channels = new Channels(
      (message) => send(JSON.stringify(message)),
      () => this.#nextRef(),
    );
    this.#publishes = new PendingPublishes(send);
    this.#signals = new PendingSignals(send, this.#options.outstanding);
    this.#unwatch = this.#options.watch(
      () => this.#connection.check(),
      () => this.#connection.offline(),
    );
    this.#connection.connect();
  }

  /** @returns {import("./types.js").Status} */
  get status() {
    return this.#connection.status;
  }

  /** Connects now, also after a stop. */
  connect() {
    this.#connection.connect();
  }

  /**
   * Replaces `options.token`: on the open connection if possible, otherwise on a new one.
   * @param {import("./types.js").Token} token
   */
  setToken(token) {
    this.#authentication.use(token);
    if (this.status.state === "open" && token) this.#renewToken();
    else this.#connection.restart();
  }

  close() {
    this.#unwatch();
    this.#connection.close("closed by this page");
  }

  /**
   * Subscribes until unsubscribe(), across reconnects. Several subscribers of a channel share one
   * subscription at the server, and so one filter: an EventHubError is thrown for another `where`.
   * @template [T=unknown]
   * @param {string} channel
   * @param {import("./types.js").SubscribeOptions<T>} [options]
   * @returns {{ readonly channel: string, readonly cursor: string | null }} for unsubscribe()
   */
  subscribe(channel, options = {}) {
    const subscription = new Subscription(channel, options, this.#options.storage);
    this.#channels.add(subscription);
    return subscription;
  }

  /**
   * Ends what subscribe() returned, or all subscribers of a channel by its name.
   * @param {string | { readonly channel: string }} subscription
   */
  unsubscribe(subscription) {
    this.#channels.remove(subscription);
  }

  /**
   * The events and gaps of a channel, for `for await`. Leaving the loop unsubscribes. A loop that is
   * slow loses nothing: when `BUFFER` items wait, it unsubscribes, and resumes when they are taken.
   * Throws the EventHubError that ends the subscription.
   * @template [T=unknown]
   * @param {string} channel
   * @param {Pick<import("./types.js").SubscribeOptions<T>, "since" | "presence" | "member" | "where">} [options]
   * @returns {AsyncGenerator<import("./types.js").Event<T> | import("./types.js").Gap, void, void>}
   */
  events(channel, options = {}) {
    return eventsOf((handlers, since) => {
      const subscription = this.subscribe(channel, { ...options, ...handlers, ...since });
      return () => this.unsubscribe(subscription);
    });
  }

  /**
   * Resolves with the `published` message. Until it is answered, the event is sent again with the
   * same key after each reconnect. Rejects with an EventHubError. To retry without storing the
   * event twice, pass the `key` of the first attempt.
   * @param {string} channel
   * @param {unknown} data
   * @param {{ key?: string }} [options]
   * @returns {Promise<import("./types.js").Published>}
   */
  publish(channel, data, { key = this.newKey() } = {}) {
    const { state, reason } = this.status;
    if (state === "stopped") return Promise.reject(stopped(reason));
    const limit = this.#options.outstanding;
    if (this.#publishes.size >= limit) {
      const fault = `${limit} events are waiting to be sent; this one was not accepted`;
      return Promise.reject(new EventHubError("queue_full", fault));
    }
    const ref = this.#nextRef();
    const published = this.#publishes.add({ type: "publish", ref, channel, key, data });
    if (state === "open") this.#publishes.send(ref);
    return published;
  }

  /**
   * Sends a signal to those who are there now. It is stored nowhere and sent once. Resolves with
   * whether the server accepted it: false without an open connection, or if the connection is lost
   * before the answer. Rejects with an EventHubError if the server refuses it.
   * @param {string} channel
   * @param {unknown} data
   * @returns {Promise<boolean>}
   */
  signal(channel, data) {
    const message = { type: "publish", ref: this.#nextRef(), channel, data, signal: true };
    return this.#signals.send(message);
  }

  /**
   * Replaces the data of this client's member, as a whole; null removes it. Resolves with whether
   * the server accepted it: if false, the next connection gives it. Rejects with an EventHubError
   * if the server refuses it, or if no subscription of the channel has a member.
   * @param {string} channel
   * @param {Record<string, unknown> | null} data
   * @returns {Promise<boolean>}
   */
  updateMember(channel, data) {
    return this.#channels.updateMember(channel, data, (message) => this.#signals.send(message));
  }

  /** A new idempotency key. */
  newKey() {
    const part = () => Math.floor(this.#options.random() * 2 ** 32).toString(36);
    return Array.from({ length: 4 }, part).join("-");
  }

  #onOpen(hello) {
    this.#connections += 1;
    this.#authenticate();
    this.#channels.subscribeAll();
    const bytes = hello.limits?.message_bytes ?? Infinity;
    this.#signals.maxBytes = bytes;
    this.#publishes.sendAll(bytes);
  }

  #receive(message) {
    const { type, ref, reason } = message;
    if (type === "published") return this.#publishes.resolve(ref, message);
    if (type === "signaled" || type === "updated") return this.#signals.accept(ref);
    if (type === "error") return this.#onError(message);
    if (type === "authenticated") return this.#onAuthenticated(message);
    if (type === "expiring") return this.#onExpiring(message);
    if (type === "unsubscribed" && reason !== "client") return this.#onUnsubscribed(message);
    this.#channels.receive(message);
  }

  #onStatus(status) {
    if (status.state !== "open") this.#signals.forget();
    if (status.state === "stopped") this.#publishes.rejectAll(stopped(status.reason));
    this.#options.onStatus(status);
  }

  #onError({ ref, code, message, details }) {
    if (this.#authentication.answeredBy({ ref })) return this.#onTokenRefused({ code, message });
    // The connection is about to close. The next one sends the publish again.
    if (code === "shutting_down" && this.#publishes.has(ref)) return;
    const error = new EventHubError(code, message, details);
    if (this.#signals.reject(ref, error)) return;
    this.#publishes.reject(ref, error);
    const channel = this.#channels.find(ref);
    if (!channel) return;
    if (!error.passing) return this.#channels.end(channel.name, error);
    const seconds = backoff(channel.attempt, this.#options.backoff, this.#options.random);
    channel.attempt += 1;
    // A new connection has subscribed again already.
    this.#later(seconds * 1000, () => this.#channels.retry(channel));
    channel.fail(error);
  }

  /** A new token does not allow the channel. */
  #onUnsubscribed({ channel, reason }) {
    const fault = `the token does not allow subscribing to ${channel}`;
    this.#channels.end(channel, new EventHubError(reason, fault));
  }

  // The other messages follow at once: the server handles them in order.
  #authenticate() {
    const request = this.#authentication.request();
    if (request) this.#send(request);
  }

  #onAuthenticated(message) {
    if (!this.#authentication.answeredBy(message)) return;
    this.#authentication.accept(this.#options.clock.now());
    this.#options.onAuthenticated(message);
  }

  #onTokenRefused({ code, message }) {
    if (RETRYABLE_AUTH_ERRORS.has(code)) return this.#connection.retry();
    // The new token is another principal's, which needs a connection of its own.
    if (code === "forbidden" && this.#authentication.accepted) return this.#connection.restart();
    this.#connection.close(message, code);
  }

  #onExpiring(message) {
    this.#options.onExpiring(message);
    if (!this.#authentication.renewable) return;
    const now = this.#options.clock.now();
    const delay = this.#authentication.renewalDelay(message.expires_in, now);
    if (delay === 0) this.#renewToken();
    else this.#later(delay, () => this.#renewToken());
  }

  // After a failure, the connection ends with its token and the next one asks for another.
  async #renewToken() {
    const connection = this.#connections;
    const renewing = this.#reportTokenError(this.#authentication.renew());
    const renewed = await renewing.catch(() => false);
    if (renewed && this.#connections === connection) this.#authenticate();
  }

  // The token of a machine that slept has expired on waking: the function returns another.
  #canRenew(code) {
    const { renewable, accepted } = this.#authentication;
    return code === "token_expired" && renewable && accepted;
  }

  #reportTokenError(promise) {
    promise?.catch((error) => this.#options.onTokenError(error));
    return promise;
  }

  /** Runs `action` after the delay, unless there is a new connection by then. */
  #later(milliseconds, action) {
    const connection = this.#connections;
    this.#options.clock.setTimeout(() => {
      if (this.#connections === connection) action();
    }, milliseconds);
  }

  #send(message) {
    this.#connection.send(JSON.stringify(message));
  }

  #nextRef() {
    this.#ref += 1;
    return this.#ref;
  }
}

const stopped = (reason) => new EventHubError("stopped", `not connected: ${reason}`);
