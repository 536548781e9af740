// The EventHub client: many channels over one WebSocket, with nothing lost or delivered twice
// (PROTOCOL.md, "A client that loses nothing").
//
//   const hub = new EventHub("https://hub.example", { onStatus: console.log });
//   hub.subscribe("chat.lobby", { since: "-20", onEvent: (event) => console.log(event.data) });
//   await hub.publish("chat.lobby", { sender: "ana", text: "oi" });
//
// With authentication, pass { token: "…" }, or a function that returns a token or a promise of one:
// { token: async () => (await fetch("/my-token")).text() }. The function is called for each
// connection, and before the token expires. The token is sent in the first message, never in the
// address. All options are in options.js.

import { socketAddress } from "./address.js";
import { Authentication } from "./authentication.js";
import { Connection, backoff } from "./connection.js";
import { EventHubError, TEMPORARY_ERRORS } from "./errors.js";
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
  #subscriptions = new Map();
  #publishes;
  #signals = new PendingSignals();
  #messageBytes = Infinity;
  #connections = 0;

  /**
   * Connects at once. `url`: the address of the server or of its WebSocket (address.js); a
   * TypeError for any other. `options.onStatus` is called with each status: {state: connecting |
   * open | offline | waiting (with seconds) | stopped (with reason, and code if refused)}.
   * A refused token stops the connection with one of the TOKEN_ERRORS; setToken() restarts it.
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
    this.#publishes = new PendingPublishes((text) => this.#connection.send(text));
    this.#unwatch = this.#options.watch(
      () => this.#connection.check(),
      () => this.#connection.offline(),
    );
    this.#connection.connect();
  }

  get status() {
    return this.#connection.status;
  }

  /** Connects now, also after a stop. */
  connect() {
    this.#connection.connect();
  }

  /** Replaces `options.token`: on the open connection if possible, otherwise on a new one. */
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
   * Subscribes until unsubscribe(), across reconnects. Options, all optional:
   * - since, presence, member: as in the `subscribe` message
   * - onSubscribed(message), onEvent(event, { replay }), onGap(gap)
   * - onSignal(signal): {channel, time, data, by}, for those who are there; it has no id
   * - onReplayed({ count, resumed }): everything up to the head has arrived
   * - onJoin(member), onLeave(member); onPresence({ count, members }) in a crowd
   * - onError(error): the subscription has ended, unless error.passing. Default: console.error
   * Returns { channel, cursor }.
   */
  subscribe(channel, options = {}) {
    if (this.#subscriptions.has(channel)) {
      throw new EventHubError("already_subscribed", `already subscribed to ${channel}`);
    }
    const { storage } = this.#options;
    const key = `eventhub.cursor.${channel}`;
    const since = storage?.getItem(key) ?? options.since;
    const save = (position) => saveCursor(storage, key, position);
    const subscription = new Subscription(channel, this.#nextRef(), { ...options, since }, save);
    this.#subscriptions.set(channel, subscription);
    this.#send(subscription.request());
    return subscription;
  }

  unsubscribe(channel) {
    if (!this.#subscriptions.delete(channel)) return;
    this.#send({ type: "unsubscribe", ref: this.#nextRef(), channel });
  }

  /**
   * Resolves with the `published` message. Until it is answered, the event is sent again with the
   * same key after each reconnect. Rejects with an EventHubError. To retry without storing the
   * event twice, pass the `key` of the first attempt.
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
   */
  signal(channel, data) {
    const ref = this.#nextRef();
    const text = JSON.stringify({ type: "publish", ref, channel, data, signal: true });
    if (new TextEncoder().encode(text).length > this.#messageBytes) {
      const fault = `the signal is larger than ${this.#messageBytes} bytes`;
      return Promise.reject(new EventHubError("payload_too_large", fault));
    }
    const full = this.#signals.size >= this.#options.outstanding;
    if (full || !this.#connection.send(text)) return Promise.resolve(false);
    return this.#signals.add(ref);
  }

  /** A new idempotency key. */
  newKey() {
    const part = () => Math.floor(this.#options.random() * 2 ** 32).toString(36);
    return Array.from({ length: 4 }, part).join("-");
  }

  #onOpen(hello) {
    this.#connections += 1;
    this.#authenticate();
    for (const subscription of this.#subscriptions.values()) this.#send(subscription.request());
    this.#messageBytes = hello.limits?.message_bytes ?? Infinity;
    this.#publishes.sendAll(this.#messageBytes);
  }

  #receive(message) {
    const { type, channel, ref, reason } = message;
    if (type === "published") return this.#publishes.resolve(ref, message);
    if (type === "signaled") return this.#signals.accept(ref);
    if (type === "error") return this.#onError(message);
    if (type === "authenticated") return this.#onAuthenticated(message);
    if (type === "expiring") return this.#onExpiring(message);
    if (type === "unsubscribed" && reason !== "client") return this.#onUnsubscribed(message);
    this.#subscriptions.get(channel)?.receive(message);
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
    const subscription = [...this.#subscriptions.values()].find((each) => each.ref === ref);
    if (!subscription) return;
    if (error.passing) this.#subscribeLater(subscription);
    else this.#subscriptions.delete(subscription.channel);
    subscription.fail(error);
  }

  #subscribeLater(subscription) {
    const seconds = backoff(subscription.attempt, this.#options.backoff, this.#options.random);
    subscription.attempt += 1;
    // A new connection has subscribed again already.
    this.#later(seconds * 1000, () => {
      const active = this.#subscriptions.get(subscription.channel) === subscription;
      if (active) this.#send(subscription.request());
    });
  }

  /** A new token does not allow the channel. */
  #onUnsubscribed({ channel, reason }) {
    const subscription = this.#subscriptions.get(channel);
    if (!this.#subscriptions.delete(channel)) return;
    const fault = `the token does not allow subscribing to ${channel}`;
    subscription.fail(new EventHubError(reason, fault));
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

// A full or forbidden storage must not stop delivery: the cursor then lasts as long as the page.
function saveCursor(storage, key, position) {
  try {
    storage?.setItem(key, position);
  } catch {
    // See above.
  }
}
