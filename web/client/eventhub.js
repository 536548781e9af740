// The EventHub client: many channels over one WebSocket, with nothing lost or delivered twice
// (PROTOCOL.md, "A client that loses nothing").
// The options are in types.d.ts, their defaults in options.js. What not every page needs is in
// modules that are imported when it is first used.

import { socketAddress } from "./address.js";
import { Channels } from "./channels.js";
import { Connection, longestWait } from "./connection.js";
import { EventHubError } from "./errors.js";
import { DEFAULTS, MISSING } from "./options.js";
import { PendingPublishes } from "./pending-publishes.js";

export { EventHubError };
/** A `status` event follows each change of `status`. */
export class EventHub extends EventTarget {
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
   * TypeError for any other, and where there is no WebSocket. A refused token stops the connection;
   * setToken() restarts it.
   * @param {string | URL} url
   * @param {import("./types.js").Options} [options]
   */
  constructor(url, options = {}) {
    super();
    this.#options = { ...DEFAULTS, ...options };
    const address = socketAddress(url);
    if (!this.#options.WebSocket) throw new TypeError(MISSING);
    this.#connection = new Connection(address, this.#options, {
      blocked: async () =>
        (await import("./fall-back.js")).fallBack(address, this.#connection, this.#options),
      prepare: () => this.#prepare(),
      canRenew: (code) => this.#authentication?.canRenew(code),
      open: (hello) => this.#onOpen(hello),
      message: (message) => this.#receive(message),
      status: (status) => this.#onStatus(status),
    });
    const { storage, clock } = this.#options;
    this.#channels = new Channels(this.#connection, () => this.#nextRef(), storage);
    this.#publishes = new PendingPublishes(this.#connection, clock);
    this.#unwatch = this.#options.watch(
      () => this.#connection.check(),
      () => this.#connection.offline(),
      () => this.#connection.suspend(),
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
    this.#options.token = token;
    this.#authentication?.use(token);
    if (this.status.state !== "open" || !token) return this.#connection.restart();
    if (this.#authentication) return void this.#authentication.renew();
    const same = this.#same();
    this.#load().then(() => same() && this.#authentication.renew());
  }

  close() {
    this.#unwatch();
    this.#connection.close("closed by this page");
  }

  /**
   * Subscribes until unsubscribe(), across reconnects. `channel` may be a pattern, `iot.>`. Several
   * subscribers of a channel share one subscription at the server, and so one filter: an
   * EventHubError is thrown for another `where` (of a pattern, onError() gets it).
   * @template [T=unknown]
   * @param {string} channel
   * @param {import("./types.js").SubscribeOptions<T>} [options]
   * @returns {{ readonly channel: string, readonly cursor: string | null }} for unsubscribe()
   */
  subscribe(channel, options = {}) {
    return this.#channels.subscribe(channel, options);
  }

  /**
   * Ends what subscribe() returned, or all subscribers of a channel by its name.
   * @param {string | { readonly channel: string }} subscription
   */
  unsubscribe(subscription) {
    this.#channels.remove(subscription);
  }

  /**
   * The events and gaps of a channel or pattern, for `for await`. Leaving the loop unsubscribes. A
   * loop that is slow loses nothing: when 1,000 items wait, it unsubscribes, and resumes when they
   * are taken. Throws the EventHubError that ends the subscription.
   * @template [T=unknown]
   * @param {string} channel
   * @param {import("./types.js").EventsOptions} [options]
   * @returns {AsyncGenerator<import("./types.js").Event<T> | import("./types.js").Gap, void, void>}
   */
  async *events(channel, options = {}) {
    const { eventsOf } = await import("./event-queue.js");
    yield* eventsOf((handlers, since) => {
      const all = { ...options, ...handlers, ...(since && { since }) };
      const subscription = this.subscribe(channel, all);
      return () => {
        this.unsubscribe(subscription);
        return subscription.since;
      };
    }, options);
  }

  /**
   * Resolves with the `published` message. Until it is answered, the event is sent again with the
   * same key after each reconnect. Rejects with an EventHubError, and with a TypeError for what
   * JSON does not have, such as NaN, a function or a cycle. To retry without storing the event
   * twice, pass the `key` of the first attempt.
   * @param {string} channel
   * @param {unknown} data
   * @param {import("./types.js").PublishOptions} [options]
   * @returns {Promise<import("./types.js").Published>}
   */
  publish(channel, data, options) {
    return this.#publish(channel, { data }, options);
  }

  /**
   * Publishes that a key is deleted from the state of the channel. Otherwise as publish().
   * @param {string} channel
   * @param {string} deleted
   * @param {import("./types.js").PublishOptions} [options]
   * @returns {Promise<import("./types.js").Published>}
   */
  delete(channel, deleted, options) {
    return this.#publish(channel, { deleted }, options);
  }

  /**
   * Sends a signal to those who are there now. It is stored nowhere and sent once. Resolves with
   * whether the server accepted it: false without an open connection, or if the connection is lost
   * before the answer. Rejects with an EventHubError if the server refuses it.
   * @param {string} channel
   * @param {unknown} data
   * @returns {Promise<boolean>}
   */
  async signal(channel, data) {
    return (this.#signals ?? (await this.#loadSignals())).signal(channel, data);
  }

  /**
   * Replaces the data of this client's member, as a whole; null removes it. Resolves with whether
   * the server accepted it: if false, the next connection gives it. Rejects with an EventHubError
   * if the server refuses it, or if no subscription of the channel has a member.
   * @param {string} channel
   * @param {Record<string, unknown> | null} data
   * @returns {Promise<boolean>}
   */
  async updateMember(channel, data) {
    return (this.#signals ?? (await this.#loadSignals())).updateMember(channel, data);
  }

  /** A new idempotency key. */
  newKey() {
    const part = () => this.#options.random().toString(36).slice(2);
    return [1, 2, 3, 4].map(part).join("-");
  }

  async #publish(channel, content, options = {}) {
    const { key = this.newKey(), ifMatch, maxAge = this.#options.maxAge, ...others } = options;
    const { state, reason } = this.status;
    if (state === "stopped") throw stopped(reason);
    const limit = this.#options.outstanding;
    if (this.#publishes.size >= limit) {
      const fault = `${limit} events wait to be sent; this one was not accepted`;
      throw new EventHubError("queue_full", fault);
    }
    const ref = this.#nextRef();
    const message = { type: "publish", ref, channel, ...others, ...content, key };
    return this.#publishes.add({ ...message, if_match: ifMatch }, maxAge);
  }

  #onOpen(hello) {
    this.#connections += 1;
    this.#authentication?.send();
    const bytes = hello.limits?.message_bytes ?? Infinity;
    this.#channels.maxBytes = bytes;
    this.#channels.subscribeAll();
    this.#publishes.sendAll(bytes);
  }

  #receive(message) {
    const { type, ref, reason, channel } = message;
    if (this.#authentication?.receive(message)) return;
    if (type === "published") return this.#publishes.resolve(ref, message);
    if (type === "signaled" || type === "updated") return this.#signals?.accept(ref);
    if (type === "error") return this.#onError(message);
    if (type !== "unsubscribed" || reason === "client") return this.#channels.receive(message);
    const fault = `the token does not allow subscribing to ${channel}`;
    this.#channels.end(channel, new EventHubError(reason, fault));
  }

  #onStatus(status) {
    if (status.state !== "open") {
      this.#signals?.forget();
      this.#publishes.lost();
    }
    if (status.state === "stopped") this.#publishes.rejectAll(stopped(status.reason));
    this.#options.onStatus(status);
    this.dispatchEvent(new Event("status"));
  }

  #onError({ ref, code, message, details, id, retry_after: least = 0 }) {
    // The connection is about to close. The next one sends the publish again.
    if (code === "shutting_down" && this.#publishes.has(ref)) return;
    const error = new EventHubError(code, message, details, id);
    if (this.#signals?.reject(ref, error)) return;
    this.#publishes.reject(ref, error);
    const channel = this.#channels.find(ref);
    if (!channel) return;
    if (!error.passing) return this.#channels.end(channel.name, error);
    const { backoff, random } = this.#options;
    const seconds = least + random() * longestWait(2 ** channel.attempt++, backoff);
    // A new connection has subscribed again already.
    this.#later(seconds * 1000, () => this.#channels.retry(channel));
    channel.fail(error);
  }

  /** Gets the token of the next connection. Returns a promise to wait for, if there is one. */
  #prepare() {
    if (this.#authentication || !this.#options.token) return this.#authentication?.prepare();
    return this.#load().then(() => this.#authentication.prepare());
  }

  /** Loads what tokens need. */
  async #load() {
    const { Authentication } = await import("./authentication.js");
    this.#authentication ??= new Authentication(this.#options, this.#connection, {
      later: (milliseconds, action) => this.#later(milliseconds, action),
      same: () => this.#same(),
    });
  }

  async #loadSignals() {
    const { Signals } = await import("./signals.js");
    const { outstanding } = this.#options;
    return (this.#signals ??= new Signals(this.#connection, outstanding, this.#channels));
  }

  /** Runs `action` after the delay, unless there is a new connection by then. */
  #later(milliseconds, action) {
    const same = this.#same();
    this.#options.clock.setTimeout(() => same() && action(), milliseconds);
  }

  /** A function that says whether this is still the connection. */
  #same() {
    const connection = this.#connections;
    return () => this.#connections === connection;
  }

  #nextRef() {
    return (this.#ref += 1);
  }
}

const stopped = (reason) => new EventHubError("stopped", `not connected: ${reason}`);
