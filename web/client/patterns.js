// A subscription to all channels that fit a pattern (PROTOCOL.md, "Patterns"). It is loaded when
// the first pattern is subscribed to. No I/O.

import { Channel } from "./channel.js";
import { expressionOf, isForgotten, reached } from "./positions.js";
import { Subscriber } from "./subscriber.js";

/** Bytes of a message with positions: what a server takes of a client without a credential. */
const PART = 16_000;
/** Milliseconds between two writes of all positions to a storage. */
const PAUSE = 1000;

/** One subscriber of a pattern, with its position in each channel. */
export class PatternSubscription extends Subscriber {
  #positions = new Map();
  #told = new Map(); // positions, until all have come
  #states = new Set(); // channels that have a state
  #subscribed = false;
  #subscriptions = 0;
  #replayed = 0;
  #kept = new Map();
  #keptAt = -Infinity;
  #timer = null;

  constructor(channel, options) {
    super(channel, options);
    const { begins } = this;
    const given = typeof begins === "string" && begins[0] === "{" ? JSON.parse(begins) : begins;
    this.state = given === "state";
    /** Whether it knows its position in every channel. */
    this.complete = typeof given !== "string";
    if (this.complete) this.#positions = new Map(Object.entries(given));
    this.#kept = new Map(this.#positions);
    /** Whether all channels have caught up with their logs since it was subscribed. */
    this.whole = false;
    this.again = false;
  }

  newChannel(ref) {
    return new PatternChannel(this.channel, ref, this.where);
  }

  /** The positions of all channels as JSON, to begin there with `since`. */
  get cursor() {
    return this.complete ? JSON.stringify(this.positions) : null;
  }

  get positions() {
    return Object.fromEntries(this.#positions);
  }

  /** Where to begin, or to resume: a channel that has no position there was born later. */
  get since() {
    return this.complete || this.#positions.size > 0 ? this.positions : this.begins;
  }

  get wantsMore() {
    return this.begins !== "latest";
  }

  get readsState() {
    return [...this.#positions.values()].some((each) => each.startsWith("state"));
  }

  /** Begins at the positions of another, which is whole. */
  begin(cursor) {
    this.#positions = new Map(Object.entries(JSON.parse(cursor)));
    this.complete = this.whole = this.#subscribed = true;
  }

  pause() {
    this.#subscribed = this.again = this.whole = false;
    this.#told.clear();
    if (!this.state || this.complete) return;
    // A part of the states is known. They come anew, without the keys that are deleted by then.
    for (const [channel, position] of this.#positions) this.#forget(channel, position);
    this.#positions.clear();
  }

  wouldMiss() {
    return false; // PatternChannel.first
  }

  receive(message) {
    const { type, channel } = message;
    if (type === "subscribed") return this.#onSubscribed(message);
    if (!this.#subscribed) return;
    if (type === "positions") this.#onPositions(message);
    if (type === "event") this.#onEvent(message);
    if (type === "gap") this.#onGap(message);
    if (type === "position" && this.#move(channel, message.position)) {
      this.#keep(null, channel, message.position);
    }
    if (type === "filter_failed") this.tell("onFilterFailed", message);
    if (type === "signal") this.tell("onSignal", message);
  }

  #onSubscribed(message) {
    this.#subscribed = true;
    this.#subscriptions += 1;
    this.#replayed = 0;
    this.tell("onSubscribed", message);
  }

  #onPositions({ positions, complete }) {
    for (const [channel, position] of Object.entries(positions)) this.#told.set(channel, position);
    if (!complete) return;
    for (const [channel, position] of this.#told) this.#move(channel, position);
    this.#told.clear();
    this.complete = this.whole = true;
    const all = [...this.#positions];
    this.keep(null, () => this.#handled(all));
    this.tell("onReplayed", { count: this.#replayed, resumed: this.#subscriptions > 1 });
  }

  #onEvent(event) {
    const { channel, id } = event;
    if (!this.#move(channel, id)) return; // a duplicate
    if (event.key !== undefined || event.deleted !== undefined) this.#states.add(channel);
    this.#replayed += !this.whole;
    this.#keep(this.tell("onEvent", event, { replay: !this.whole }), channel, id);
  }

  #onGap(gap) {
    const { channel, position, reason } = gap;
    const keyed = this.state && this.#states.has(channel);
    const slow = keyed && reason === "slow"; // what has changed is read from before the gap
    const forgotten = keyed && isForgotten(gap);
    if (forgotten) this.#positions.set(channel, "state");
    else if (slow) this.#positions.set(channel, `state:${this.#positions.get(channel)}`);
    else this.#positions.set(channel, position);
    this.again ||= slow || forgotten;
    this.#keep(this.tell("onGap", gap), channel, position);
  }

  #forget(channel, position) {
    const gap = { type: "gap", channel, reason: "reset", after: position, before: null, position };
    this.tell("onGap", gap);
  }

  /** Returns whether the position is after that which is known. */
  #move(channel, position) {
    const known = this.#positions.get(channel);
    if (known && reached(known, position)) return false;
    this.#positions.set(channel, position);
    return true;
  }

  #keep(handler, channel, position) {
    this.keep(handler, () => this.#handled([[channel, position]]));
  }

  /**
   * What the storage gets. All positions are written at once, so not for each event: undefined, and
   * once more later.
   */
  #handled(positions) {
    for (const [channel, position] of positions) this.#kept.set(channel, position);
    if (!this.complete || this.#timer !== null) return undefined;
    const now = Date.now();
    if (Math.abs(now - this.#keptAt) > PAUSE) {
      this.#keptAt = now;
      return JSON.stringify(Object.fromEntries(this.#kept));
    }
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#keptAt = -Infinity;
      this.keep(null, () => this.#handled([]));
    }, PAUSE);
    return undefined;
  }
}

class PatternChannel extends Channel {
  #expression;

  constructor(name, ref, where) {
    super(name, ref, where);
    this.#expression = expressionOf(name);
  }

  covers(name) {
    return this.#expression.test(name);
  }

  /** One that begins, or reads a state again, goes first, alone: others need all events. */
  first(all) {
    const fresh = all.find((each) => !each.complete || each.readsState);
    return fresh ? [fresh] : all;
  }

  /** The positions of the subscriber that is furthest behind in each channel. */
  since(all) {
    const lists = all.map((each) => each.since);
    if (lists.length === 1) return lists[0];
    const channels = Object.keys(lists[0]);
    const shared = channels.filter((channel) => lists.every((each) => each[channel]));
    return Object.fromEntries(shared.map((channel) => [channel, furthest(channel, lists)]));
  }

  /** Positions that do not fit into one message go into several. */
  requests(maxBytes) {
    const request = this.request();
    const { since } = request;
    if (typeof since === "string") return [request];
    const size = Math.min(PART, maxBytes) - JSON.stringify({ ...request, since: {} }).length - 20;
    const parts = [...pieces(Object.entries(since), size)];
    return parts.map((part, index) => ({
      ...request,
      since: Object.fromEntries(part),
      ...(index < parts.length - 1 && { more: true }),
    }));
  }
}

function furthest(channel, lists) {
  const all = lists.map((each) => each[channel]);
  return all.reduce((one, other) => (reached(one, other) ? other : one));
}

/** Pieces of a list of positions, each of at most `size` bytes as JSON. */
function* pieces(positions, size) {
  let piece = [];
  let bytes = 0;
  for (const [channel, position] of positions) {
    const more = channel.length + position.length + 6;
    if (bytes + more > size && piece.length > 0) {
      yield piece;
      [piece, bytes] = [[], 0];
    }
    piece.push([channel, position]);
    bytes += more;
  }
  yield piece;
}
