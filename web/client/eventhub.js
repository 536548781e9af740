// The EventHub client: many channels over one WebSocket, with nothing lost and nothing twice (PROTOCOL.md, "A client that loses nothing").
//
//   const hub = new EventHub("https://hub.example", { onStatus: console.log }); // or its WebSocket, wss://hub.example/v1/ws
//   hub.subscribe("chat.lobby", { since: "-20", onEvent: (event) => console.log(event.id, event.data) });
//   await hub.publish("chat.lobby", { sender: "ana", text: "oi" });
//
// Where the server asks who one is: { token: "…" }, or { token: async () => (await fetch("/my-token")).text() }, which is asked for each
// connection and before the token expires. It is sent in the first message, never in the address.
//
// Socket, clock, randomness, storage and the browser's wake-up calls are arguments with defaults; nothing here touches the page.

import { socketAddress } from "./address.js";
import { Authentication, REFUSALS } from "./authentication.js";
import { Connection, backoff } from "./connection.js";
import { online, watchBrowser } from "./network.js";
import { Subscription } from "./subscription.js";

// These pass: the same command may succeed later.
const PASSING = new Set(["internal", "broker_unavailable", "too_many_channels", "shutting_down"]);

// The same token may be accepted later.
const LATER = new Set([...PASSING, "too_many_connections"]);

const DEFAULTS = {
  WebSocket: globalThis.WebSocket,
  clock: {
    now: () => performance.now(),
    setTimeout: (action, milliseconds) => setTimeout(action, milliseconds),
    clearTimeout: (timer) => clearTimeout(timer),
  },
  /** At least 0, below 1. */
  random: () => crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32,
  /** Keeps cursors across page loads when given: sessionStorage, or anything with getItem and setItem. */
  storage: null,
  /** Whether the browser believes that there is a network. */
  online,
  /** Calls `check` whenever the network may have come back and `offline` when it is gone; returns a function that ends this. */
  watch: watchBrowser,
  onStatus: () => {},
  /** A token or API key, or a function that returns one, now or as a promise; what is empty is none. */
  token: null,
  /** The server took the token: { principal, expires_in }, the seconds being there if it ends. */
  onAuthenticated: () => {},
  /** The token ends in { expires_in } seconds, and the connection with it. A function is asked for another by itself. */
  onExpiring: () => {},
  /** The function failed. It is asked again with the next connection. */
  onTokenError: (error) => console.error(error),
  /** Publishes that may be unanswered at a time; one more is refused with `queue_full`. */
  outstanding: 256,
  /** Seconds. */
  backoff: { base: 1, cap: 30 },
  /** Milliseconds: to connect, of silence before a ping, to answer it, and after which a connection counts as good. */
  timing: { connect: 10_000, ping: 15_000, pong: 5_000, settled: 10_000 },
};

/** `code` is the protocol's, or `queue_full` or `stopped`. `passing`: the same may succeed later. */
export class EventHubError extends Error {
  constructor(code, message, details = []) {
    super(message);
    this.name = "EventHubError";
    this.code = code;
    /** A token is missing, or will not do. */
    this.refusal = REFUSALS.has(code);
    this.details = details;
    this.passing = PASSING.has(code);
  }
}

export class EventHub {
  #options;
  #connection;
  #authentication;
  #unwatch;
  #ref = 0;
  #subscriptions = new Map();
  #outbox = new Map();
  #largest = Infinity;
  #openings = 0;

  /**
   * Connects at once to `url`, that of the server or of its WebSocket (address.js); throws a TypeError where it can be
   * neither. Status changes go to `options.onStatus`: {state: connecting | open | offline | waiting (seconds) | stopped
   * (reason, and the code of a refusal)}. A token that is refused is a stop, with one of the codes that authentication.js
   * names; setToken() leads out.
   */
  constructor(url, options = {}) {
    this.#options = { ...DEFAULTS, ...options };
    this.#authentication = new Authentication(this.#options.token);
    this.#connection = new Connection(socketAddress(url), this.#options, {
      prepare: () => this.#told(this.#authentication.prepare()),
      // A machine that slept wakes up with a token that has expired: the function has another.
      mayRenew: (code) => code === "token_expired" && this.#authentication.renewable && this.#authentication.accepted,
      open: (hello) => this.#opened(hello),
      message: (message) => this.#receive(message),
      status: (status) => this.#changed(status),
    });
    this.#unwatch = this.#options.watch(
      () => this.#connection.check(),
      () => this.#connection.offline(),
    );
    this.#connection.connect();
  }

  get status() {
    return this.#connection.status;
  }

  /** Connects now instead of later, and also after a stop. */
  connect() {
    this.#connection.connect();
  }

  /** Uses another token, as `options.token`: on this connection where there is one and it can be, otherwise on a new one, at once. */
  setToken(token) {
    this.#authentication.use(token);
    if (this.status.state === "open" && token) this.#renew();
    else this.#connection.restart();
  }

  close() {
    this.#unwatch();
    this.#connection.close("closed by this page");
  }

  /**
   * Follows a channel until unsubscribe(), through any number of connections. Options, all optional: since, presence, member,
   * onSubscribed(message), onEvent(event, {replay}), onGap(gap), onReplayed({count, resumed}) when all up to the head has arrived,
   * onJoin(member), onLeave(member), onPresence({ count, members }) in a crowd, onError(error): the subscription has ended unless error.passing; console.error if not given.
   * Returns {channel, cursor}.
   */
  subscribe(channel, options = {}) {
    if (this.#subscriptions.has(channel)) throw new EventHubError("already_subscribed", `already subscribed to ${channel}`);
    const { storage } = this.#options;
    const name = `eventhub.cursor.${channel}`;
    const since = storage?.getItem(name) ?? options.since;
    const subscription = new Subscription(channel, this.#nextRef(), { ...options, since }, (position) => store(storage, name, position));
    this.#subscriptions.set(channel, subscription);
    this.#send(subscription.request());
    return subscription;
  }

  unsubscribe(channel) {
    if (this.#subscriptions.delete(channel)) this.#send({ type: "unsubscribe", ref: this.#nextRef(), channel });
  }

  /**
   * Resolves with the `published` message. It is sent again with the same key after a reconnect, until it is answered. Rejects with
   * an EventHubError; to try that again without any risk of storing it twice, pass the `key` of the first try.
   */
  publish(channel, data, { key = this.newKey() } = {}) {
    if (this.status.state === "stopped") return Promise.reject(new EventHubError("stopped", `not connected: ${this.status.reason}`));
    const most = this.#options.outstanding;
    if (this.#outbox.size >= most) {
      return Promise.reject(new EventHubError("queue_full", `${most} events are waiting to be sent; this one was not accepted`));
    }
    return new Promise((resolve, reject) => {
      const ref = this.#nextRef();
      const frame = JSON.stringify({ type: "publish", ref, channel, key, data });
      this.#outbox.set(ref, { frame, resolve, reject });
      if (this.status.state === "open") this.#transmit(ref);
    });
  }

  /** A fresh idempotency key. */
  newKey() {
    return Array.from({ length: 4 }, () => Math.floor(this.#options.random() * 2 ** 32).toString(36)).join("-");
  }

  #opened(hello) {
    this.#openings += 1;
    this.#largest = hello.limits?.message_bytes ?? Infinity;
    this.#authenticate();
    for (const subscription of this.#subscriptions.values()) this.#send(subscription.request());
    for (const ref of [...this.#outbox.keys()]) this.#transmit(ref);
  }

  #receive(message) {
    if (message.type === "published") return this.#settle(message.ref)?.resolve(message);
    if (message.type === "error") return this.#refused(message);
    if (message.type === "authenticated") return this.#authenticated(message);
    if (message.type === "expiring") return this.#expiring(message);
    if (message.type === "unsubscribed" && message.reason !== "client") return this.#ended(message);
    this.#subscriptions.get(message.channel)?.receive(message);
  }

  // The rest goes out right behind it: the server takes one after the other.
  #authenticate() {
    const request = this.#authentication.request();
    if (request) this.#send(request);
  }

  #authenticated(message) {
    if (!this.#authentication.answeredBy(message)) return;
    this.#authentication.accept(this.#options.clock.now());
    this.#options.onAuthenticated(message);
  }

  #expiring(message) {
    this.#options.onExpiring(message);
    if (!this.#authentication.renewable) return;
    const { clock } = this.#options;
    const delay = this.#authentication.renewalDelay(message.expires_in, clock.now());
    if (delay === 0) return this.#renew();
    const opening = this.#openings;
    clock.setTimeout(() => this.#openings === opening && this.#renew(), delay);
  }

  async #renew() {
    const opening = this.#openings;
    // Where there is none, the connection ends with its token, and the next one asks again.
    const fresh = await this.#told(this.#authentication.renew()).catch(() => false);
    if (fresh && this.#openings === opening) this.#authenticate();
  }

  #told(promise) {
    promise?.catch((error) => this.#options.onTokenError(error));
    return promise;
  }

  #tokenRefused({ code, message }) {
    if (LATER.has(code)) return this.#connection.retry();
    // Somebody else's token: it is for a connection of its own.
    if (code === "forbidden" && this.#authentication.accepted) return this.#connection.restart();
    this.#connection.close(message, code);
  }

  /** A new token does not allow it. */
  #ended({ channel, reason }) {
    const subscription = this.#subscriptions.get(channel);
    if (!this.#subscriptions.delete(channel)) return;
    subscription.fail(new EventHubError(reason, `the token does not allow to listen to ${channel}`));
  }

  #refused({ ref, code, message, details }) {
    if (this.#authentication.answeredBy({ ref })) return this.#tokenRefused({ code, message });
    const error = new EventHubError(code, message, details);
    // The connection is about to close: what is in the outbox goes out again on the next one.
    if (code === "shutting_down" && this.#outbox.has(ref)) return;
    this.#settle(ref)?.reject(error);
    const subscription = [...this.#subscriptions.values()].find((each) => each.ref === ref);
    if (!subscription) return;
    if (error.passing) this.#subscribeLater(subscription);
    else this.#subscriptions.delete(subscription.channel);
    subscription.fail(error);
  }

  #subscribeLater(subscription) {
    const { backoff: steps, clock, random } = this.#options;
    const seconds = backoff(subscription.attempt, steps, random);
    subscription.attempt += 1;
    const opening = this.#openings;
    clock.setTimeout(() => {
      // A connection opened since then has asked again already.
      const current = this.#subscriptions.get(subscription.channel) === subscription && this.#openings === opening;
      if (current) this.#send(subscription.request());
    }, seconds * 1000);
  }

  #changed(status) {
    if (status.state === "stopped") {
      const error = new EventHubError("stopped", `not connected: ${status.reason}`);
      for (const ref of [...this.#outbox.keys()]) this.#settle(ref).reject(error);
    }
    this.#options.onStatus(status);
  }

  // An oversized message would close the connection, and again after each reconnect.
  #transmit(ref) {
    const { frame } = this.#outbox.get(ref);
    const size = new TextEncoder().encode(frame).length;
    if (size <= this.#largest) return this.#connection.send(frame);
    this.#settle(ref).reject(new EventHubError("payload_too_large", `the event takes ${size} bytes; at most ${this.#largest} are allowed`));
  }

  #settle(ref) {
    const entry = this.#outbox.get(ref);
    this.#outbox.delete(ref);
    return entry;
  }

  #send(message) {
    this.#connection.send(JSON.stringify(message));
  }

  #nextRef() {
    this.#ref += 1;
    return this.#ref;
  }
}

// A storage that is full, or forbidden, must not stop delivery.
function store(storage, name, position) {
  try {
    storage?.setItem(name, position);
  } catch {
    // The cursor then lasts as long as the page.
  }
}
