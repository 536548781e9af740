// All subscribers of one channel, which share one subscription at the server. Each has its own
// cursor, so the shared one may begin again further back for a new subscriber: the others take what
// they have seen for duplicates. No I/O.

import { EventHubError } from "./errors.js";
import { reached } from "./subscription.js";

export class Channel {
  #subscriptions = new Set();
  #where;
  #data; // of the member: undefined until it is updated
  #accepted;

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

  /** This client in presence: its id, or its id and data. */
  get member() {
    const member = [...this.#subscriptions].map((each) => each.member).find(Boolean);
    if (!member || this.#data === undefined) return member;
    const id = member.id ?? member;
    return this.#data === null ? id : { id, data: this.#data };
  }

  /** Gives data to the member from the next `subscribe` on. */
  updateMember(data) {
    this.#data = data;
  }

  /** The server has accepted or refused the data. After a refusal, the data before holds. */
  updated(data, accepted) {
    if (accepted) this.#accepted = data;
    else if (this.#data === data) this.#data = this.#accepted;
  }

  /**
   * Adds a subscriber. Returns whether the channel must be subscribed to again for it. Throws an
   * EventHubError if it has another filter.
   */
  add(subscription) {
    const { where } = subscription;
    if (where !== this.#where) {
      const has = `${this.name} is subscribed to with the filter ${this.#where ?? "(none)"}`;
      const fault = `received ${where ?? "(none)"}; expected the same, or another EventHub`;
      throw new EventHubError("already_subscribed", `${has}; ${fault}`);
    }
    const others = [...this.#subscriptions];
    this.#subscriptions.add(subscription);
    if (others.length === 0 || subscription.wantsMore) return true;
    const begun = others.find((each) => each.cursor !== null);
    if (begun) subscription.begin(begun.cursor);
    return !begun && others.some((each) => each.wantsMore);
  }

  delete(subscription) {
    this.#subscriptions.delete(subscription);
  }

  /** The `subscribe` message: it begins where the subscriber stands that is furthest behind. */
  request() {
    const all = [...this.#subscriptions];
    const since = all.map((each) => each.since).reduce(earlier);
    const where = this.#where;
    const { member } = this;
    this.#accepted = this.#data;
    const presence = all.some((each) => each.presence);
    for (const each of all) each.pause();
    return {
      type: "subscribe",
      ref: this.ref,
      channel: this.name,
      ...(presence && { presence }),
      ...(member && { member }),
      ...(where !== undefined && { where }),
      since,
    };
  }

  /**
   * Gives a message to each subscriber. Returns whether one of them would miss events, because the
   * subscription began behind its cursor: then it must begin again.
   */
  receive(message) {
    const all = [...this.#subscriptions];
    if (message.type !== "subscribed") {
      for (const each of all) each.receive(message);
      return false;
    }
    if (message.ref !== this.ref) return false; // of an earlier subscription
    this.attempt = 0;
    const missing = all.filter((each) => each.wouldMiss(message.position));
    for (const each of all) if (!missing.includes(each)) each.receive(message);
    return missing.length > 0;
  }

  fail(error) {
    for (const each of [...this.#subscriptions]) each.fail(error);
  }
}

// A start that is not a position, such as "-20", is not compared: it is asked for, and what it
// leaves out of the others is asked for next.
function earlier(one, other) {
  const isPosition = (since) => /^\w+-\d+$/.test(since);
  if (!isPosition(other) && other !== "latest") return other;
  if (!isPosition(one)) return one === "latest" ? other : one;
  return isPosition(other) && reached(one, other) ? other : one;
}
