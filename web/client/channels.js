// The channels and patterns of a hub: which subscribers each has, and what is sent for them.

import { isPattern } from "./positions.js";
import { Subscription } from "./subscription.js";

export class Channels {
  #byName = new Map();
  #later = new Set();
  #connection;
  #nextRef;
  #storage;

  /** `nextRef()`: a new ref. `storage` keeps cursors, or is null. */
  constructor(connection, nextRef, storage = null) {
    this.#connection = connection;
    this.#nextRef = nextRef;
    this.#storage = storage;
    /** The server's limit of a message. */
    this.maxBytes = Infinity;
  }

  /** Subscribes. A pattern and a state wait for a module, and a storage for what it has. */
  subscribe(name, options) {
    const state = String(options.since).startsWith("state");
    // The page that resumes a state must have kept its keys: so only with a name.
    const { cursor } = options;
    const kept = this.#storage && cursor !== null && (!state || cursor);
    if (!kept && !state && !isPattern(name)) return this.#create(Subscription, name, options);
    const later = new Later(name);
    this.#later.add(later);
    const fail = (error) => (options.onError ?? console.error)(error);
    this.#load(name, state, kept && options)
      .then(([Class, begin]) => {
        if (!this.#later.delete(later)) return;
        later.subscription = this.#create(Class, name, { ...options, ...begin });
      })
      .catch(fail);
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

  named(name) {
    return this.#byName.get(name);
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

  #create(Class, name, options) {
    const subscription = new Class(name, options);
    this.#add(name, subscription);
    return subscription;
  }

  async #load(name, state, kept) {
    let Class = Subscription;
    if (isPattern(name)) Class = (await import("./patterns.js")).PatternSubscription;
    else if (state) Class = (await import("./state.js")).StateSubscription;
    return [Class, kept && (await (await import("./cursors.js")).kept(this.#storage, name, kept))];
  }

  #add(name, subscription) {
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

  #send(command) {
    this.#connection.send(JSON.stringify(command));
  }

  #request(channel) {
    for (const command of channel.requests(this.maxBytes)) this.#send(command);
  }

  #unsubscribe(channel) {
    this.#send({ type: "unsubscribe", ref: this.#nextRef(), channel });
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
