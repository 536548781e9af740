// The channels and patterns of a hub: which subscribers each has, and what is sent for them.

import { EventHubError } from "./errors.js";
import { isPattern } from "./positions.js";
import { Subscription } from "./subscription.js";

export class Channels {
  #byName = new Map();
  #later = new Set();
  #send;
  #nextRef;
  #storage;

  /**
   * `send(message)`: sends on the open connection, if there is one. `nextRef()`: a new ref.
   * `storage` keeps cursors, or is null.
   */
  constructor(send, nextRef, storage = null) {
    this.#send = send;
    this.#nextRef = nextRef;
    this.#storage = storage;
    /** The server's limit of a message. */
    this.maxBytes = Infinity;
  }

  /** Subscribes. A pattern waits for its module, and a storage may return promises. */
  subscribe(name, options) {
    const { cursor: keptAs = name, ...rest } = options;
    // The page that resumes a state must have kept it, too: so only by request.
    const kept = options.since !== "state" || options.cursor !== undefined;
    const key = `eventhub.cursor.${keptAs}`;
    const stored = kept && this.#storage?.getItem(key);
    const create = (Class, since) => {
      const given = since ? { ...rest, since } : rest;
      const store = kept && this.#storage && ((cursor) => this.#store(key, cursor));
      const subscription = new Class(name, given, store);
      this.#add(subscription);
      return subscription;
    };
    if (!stored?.then && !isPattern(name)) return create(Subscription, stored);
    const later = new Later(name);
    this.#later.add(later);
    const begin = ([since, Class]) => {
      if (this.#later.delete(later)) later.subscription = create(Class, since);
    };
    const fail = (error) => (options.onError ?? console.error)(error);
    Promise.all([stored, classFor(name)]).then(begin).catch(fail);
    return later;
  }

  /** Removes one subscriber, or all of a channel by its name. */
  remove(subscription) {
    const name = subscription.channel ?? subscription;
    for (const each of this.#later) {
      if (each === subscription || each.channel === subscription) this.#later.delete(each);
    }
    const channel = this.#byName.get(name);
    if (subscription !== name) channel?.delete(subscription.subscription ?? subscription);
    if (!channel) return;
    if (subscription !== name && !channel.empty) {
      if (channel.mustBeginAgain) this.#beginAgain(channel);
      return;
    }
    this.#byName.delete(name);
    this.#unsubscribe(name);
  }

  /**
   * Updates the member's data with `send(message)`, which resolves with whether it was accepted.
   * A connection that begins later gives the data with `subscribe`.
   */
  async updateMember(name, data, send) {
    const channel = this.#byName.get(name);
    if (!channel?.member) {
      throw new EventHubError("not_subscribed", `no subscription of ${name} has a member`);
    }
    channel.updateMember(data);
    try {
      const accepted = await send({ type: "update", ref: this.#nextRef(), channel: name, data });
      if (accepted) channel.updated(data, true);
      return accepted;
    } catch (error) {
      channel.updated(data, false);
      throw error;
    }
  }

  /** Subscribes on a new connection. */
  subscribeAll() {
    for (const channel of this.#byName.values()) this.#request(channel);
  }

  receive(message) {
    const name = message.channel;
    const channel =
      this.#byName.get(name) ?? [...this.#byName.values()].find((each) => each.covers(name));
    if (channel?.receive(message)) this.#beginAgain(channel);
  }

  /** The channel whose `subscribe` has this ref. */
  find(ref) {
    return [...this.#byName.values()].find((each) => each.ref === ref);
  }

  /** Subscribes again, if the channel still has subscribers. */
  retry(channel) {
    if (this.#byName.get(channel.name) === channel) this.#request(channel);
  }

  /** The subscription has ended at the server. */
  end(name, error) {
    const channel = this.#byName.get(name);
    if (this.#byName.delete(name)) channel.fail(error);
  }

  #add(subscription) {
    const name = subscription.channel;
    const channel = this.#byName.get(name);
    if (channel) {
      if (channel.add(subscription)) this.#beginAgain(channel);
      return;
    }
    const first = subscription.newChannel(this.#nextRef());
    first.add(subscription);
    this.#byName.set(name, first);
    this.#request(first);
  }

  /** Begins anew, where the subscriber stands that is furthest behind. */
  #beginAgain(channel) {
    this.#unsubscribe(channel.name);
    channel.ref = this.#nextRef();
    this.#request(channel);
  }

  #request(channel) {
    for (const message of channel.requests(this.maxBytes)) this.#send(message);
  }

  #unsubscribe(channel) {
    this.#send({ type: "unsubscribe", ref: this.#nextRef(), channel });
  }

  // A full or forbidden storage must not stop delivery: the cursor then lasts as long as the page.
  #store(key, cursor) {
    const ignore = () => {};
    try {
      this.#storage.setItem(key, cursor)?.catch?.(ignore);
    } catch {
      // See above.
    }
  }
}

/** A subscription that waits for a module or for the storage. */
class Later {
  subscription = null;

  constructor(channel) {
    this.channel = channel;
  }

  get cursor() {
    return this.subscription?.cursor ?? null;
  }

  get since() {
    return this.subscription?.since;
  }
}

const classFor = async (name) =>
  isPattern(name) ? (await import("./patterns.js")).PatternSubscription : Subscription;
