// The channels of a hub: which subscribers each has, and what is sent for them. No I/O.

import { Channel } from "./channel.js";
import { EventHubError } from "./errors.js";

export class Channels {
  #byName = new Map();
  #send;
  #nextRef;

  /** `send(message)`: sends on the open connection, if there is one. `nextRef()`: a new ref. */
  constructor(send, nextRef) {
    this.#send = send;
    this.#nextRef = nextRef;
  }

  add(subscription) {
    const name = subscription.channel;
    const channel = this.#byName.get(name);
    if (channel) {
      if (channel.add(subscription)) this.#beginAgain(channel);
      return;
    }
    const first = new Channel(name, this.#nextRef(), subscription.where);
    first.add(subscription);
    this.#byName.set(name, first);
    this.#send(first.request());
  }

  /** Removes one subscriber, or all of a channel by its name. */
  remove(subscription) {
    const name = subscription.channel ?? subscription;
    const channel = this.#byName.get(name);
    if (subscription !== name) channel?.delete(subscription);
    if (!channel || (subscription !== name && !channel.empty)) return;
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
    for (const channel of this.#byName.values()) this.#send(channel.request());
  }

  receive(message) {
    const channel = this.#byName.get(message.channel);
    if (channel?.receive(message)) this.#beginAgain(channel);
  }

  /** The channel whose `subscribe` has this ref. */
  find(ref) {
    return [...this.#byName.values()].find((each) => each.ref === ref);
  }

  /** Subscribes again, if the channel still has subscribers. */
  retry(channel) {
    if (this.#byName.get(channel.name) === channel) this.#send(channel.request());
  }

  /** The subscription has ended at the server. */
  end(name, error) {
    const channel = this.#byName.get(name);
    if (this.#byName.delete(name)) channel.fail(error);
  }

  /** Begins anew, where the subscriber stands that is furthest behind. */
  #beginAgain(channel) {
    this.#unsubscribe(channel.name);
    channel.ref = this.#nextRef();
    this.#send(channel.request());
  }

  #unsubscribe(channel) {
    this.#send({ type: "unsubscribe", ref: this.#nextRef(), channel });
  }
}
