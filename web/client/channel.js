// All subscribers of one channel, which share one subscription at the server. Each has its own
// cursor, so the shared one may begin again further back for a new subscriber: the others take what
// they have seen for duplicates. No I/O.

import { EventHubError } from "./errors.js";
import { reached } from "./positions.js";

export class Channel {
  #subscriptions = new Set();
  #active = []; // those that the subscription is for
  #where;
  /** Of the member, from the next `subscribe` on; undefined until it is updated. */
  data = undefined;
  /** The data that the server has accepted. */
  accepted = undefined;

  /** `where`: the filter of all its subscribers. The server takes one for a channel. */
  constructor(name, ref, where) {
    this.name = name;
    this.#where = where;
    this.ref = ref;
    this.attempt = 0;
  }

  get empty() {
    return this.#subscriptions.size === 0;
  }

  /** Whether it has the events of this channel. */
  covers(name) {
    return name === this.name;
  }

  /** This client in presence: its id, or its id and data. */
  get member() {
    const member = [...this.#subscriptions].map((each) => each.member).find(Boolean);
    const { data } = this;
    if (!member || data === undefined) return member;
    const id = member.id ?? member;
    return data === null ? id : { id, data };
  }

  /**
   * Adds a subscriber. Returns whether the channel must be subscribed to again for it. Throws an
   * EventHubError if it has another filter.
   */
  add(subscription) {
    const { where } = subscription;
    if (where !== this.#where) {
      const has = `${this.name} has the filter ${this.#where ?? "(none)"}`;
      const fault = `${has}; received ${where ?? "(none)"}; expected the same, or another EventHub`;
      throw new EventHubError("already_subscribed", fault);
    }
    const others = [...this.#subscriptions];
    this.#subscriptions.add(subscription);
    if (others.length === 0 || subscription.wantsMore) return true;
    const begun = others.find((each) => each.cursor !== null && (each.whole || !each.state));
    if (!begun) return others.some((each) => each.wantsMore);
    subscription.begin(begun.cursor);
    this.#active.push(subscription);
    return false;
  }

  delete(subscription) {
    this.#subscriptions.delete(subscription);
    this.#active = this.#active.filter((each) => each !== subscription);
  }

  /** The `subscribe` messages, the last of which is answered. */
  requests() {
    return [this.request()];
  }

  /** It begins where the subscriber stands that is furthest behind. */
  request() {
    const all = [...this.#subscriptions];
    for (const each of all) each.pause();
    this.#active = this.first(all);
    const presence = all.some((each) => each.presence);
    const { member } = this;
    this.accepted = this.data;
    return {
      type: "subscribe",
      ref: this.ref,
      channel: this.name,
      ...(presence && { presence }),
      ...(member && { member }),
      ...(this.#where !== undefined && { where: this.#where }),
      since: this.since(this.#active),
    };
  }

  /** Those that the next subscription is for. The others wait for their end. */
  first(all) {
    return all.find((each) => each.state)?.first(all) ?? all;
  }

  /** Where the subscription for these begins. */
  since(all) {
    const state = all.every((each) => each.state);
    const positions = all.map((each) => (state ? each.since : (each.cursor ?? each.since)));
    return positions.reduce(earlier);
  }

  /**
   * Gives a message to each subscriber. Returns whether the channel must be subscribed to again:
   * one of them would miss events, because the subscription began behind its cursor, or waits.
   */
  receive(message) {
    const { type, ref } = message;
    if (type === "subscribed" && ref !== this.ref) return false; // of an earlier subscription
    if (type === "subscribed") this.attempt = 0;
    const all = [...this.#active];
    const missing = type === "subscribed" ? all.filter((each) => each.wouldMiss(message)) : [];
    for (const each of all) if (!missing.includes(each)) each.receive(message);
    return missing.length > 0 || this.mustBeginAgain;
  }

  fail(error) {
    for (const each of [...this.#subscriptions]) each.fail(error);
  }

  /** Whether those that were not active are due, or one must begin anew. */
  get mustBeginAgain() {
    const active = this.#active;
    if (active.some((each) => each.again)) return true;
    return active.length < this.#subscriptions.size && active.every((each) => each.whole);
  }
}

// A start that is not a position, such as "-20", is not compared: it is asked for, and what it
// leaves out of the others is asked for next.
function earlier(one, other) {
  const isPosition = (since) => /^(state:)?\w+-\d+$/.test(since);
  if (!isPosition(other) && other !== "latest") return other;
  if (!isPosition(one)) return one === "latest" ? other : one;
  return isPosition(other) && reached(one, other) ? other : one;
}
