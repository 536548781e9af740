// One subscriber of a channel: its cursor, duplicates, and the end of the replay. No I/O.

const ignore = () => {};
const HANDLERS = {
  onSubscribed: ignore,
  onEvent: ignore,
  onGap: ignore,
  onSignal: ignore,
  onReplayed: ignore,
  onJoin: ignore,
  onLeave: ignore,
  onUpdate: ignore,
  onPresence: ignore,
  onFilterFailed: ({ channel, reason }) => console.warn(`the filter of ${channel}: ${reason}`),
  onError: (error) => console.error(error),
};

/**
 * Whether `position` is at or after `other`. False for positions of different epochs, which
 * cannot be compared (PROTOCOL.md, "Words").
 */
export function reached(position, other) {
  const [epoch, offset] = position.split("-");
  const [otherEpoch, otherOffset] = other.split("-");
  return epoch === otherEpoch && BigInt(offset) >= BigInt(otherOffset);
}

export class Subscription {
  #since;
  #on;
  #storage;
  #key;
  #subscribed = false;
  #subscriptions = 0;
  #head = null;
  #replayed = 0;

  /** `options` as for EventHub.subscribe. `storage` keeps the cursor. */
  constructor(channel, options, storage = null) {
    const { since = "latest", presence = false, member, where, ...handlers } = options;
    this.channel = channel;
    this.cursor = null;
    this.presence = presence;
    this.member = member;
    this.where = where;
    this.#storage = storage;
    this.#key = `eventhub.cursor.${channel}`;
    this.#since = storage?.getItem(this.#key) ?? since;
    this.#on = { ...HANDLERS, ...handlers };
  }

  /** Where to begin, or to resume. */
  get since() {
    return this.cursor ?? this.#since;
  }

  /** Whether it needs more than the events that come next. */
  get wantsMore() {
    return this.#since !== "latest" || this.presence || Boolean(this.member);
  }

  /** Begins at a position, among subscribers that have begun already. */
  begin(position) {
    this.#subscribed = true;
    this.#moveCursor(position);
  }

  /** Ignores what comes until the channel is subscribed to again. */
  pause() {
    this.#subscribed = false;
  }

  /** Whether a subscription that begins at `position` would leave out events. */
  wouldMiss(position) {
    const { cursor } = this;
    return cursor !== null && !reached(cursor, position) && reached(position, cursor);
  }

  receive(message) {
    const { type } = message;
    if (type === "subscribed") return this.#onSubscribed(message);
    // Anything earlier belongs to a previous subscription of the same channel.
    if (!this.#subscribed) return;
    if (type === "event") this.#onEvent(message);
    if (type === "gap") this.#onGap(message);
    if (type === "position") this.#onPosition(message);
    if (type === "filter_failed") this.#on.onFilterFailed(message);
    if (type === "signal") this.#on.onSignal(message);
    if (type === "join") this.#on.onJoin(message.member);
    if (type === "leave") this.#on.onLeave(message.member);
    if (type === "update") this.#on.onUpdate(message.member);
    if (type === "presence") this.#on.onPresence(message);
  }

  fail(error) {
    this.#on.onError(error);
  }

  #onSubscribed(message) {
    this.#subscribed = true;
    this.#subscriptions += 1;
    this.#head = message.head;
    this.#replayed = 0;
    // Within an epoch the cursor never moves back: events of the last connection stay duplicates.
    if (this.cursor === null || !reached(this.cursor, message.position)) {
      this.#moveCursor(message.position);
    }
    this.#on.onSubscribed(message);
    this.#checkReplayEnd();
  }

  #onEvent(event) {
    if (reached(this.cursor, event.id)) return; // a duplicate
    const replay = this.#head !== null;
    this.#replayed += replay;
    this.#moveCursor(event.id);
    this.#on.onEvent(event, { replay });
    this.#checkReplayEnd();
  }

  #onGap(gap) {
    this.#moveCursor(gap.position);
    this.#on.onGap(gap);
    this.#checkReplayEnd();
  }

  /** The events up to there do not match the filter. */
  #onPosition({ position }) {
    if (reached(this.cursor, position)) return;
    this.#moveCursor(position);
    this.#checkReplayEnd();
  }

  #checkReplayEnd() {
    if (this.#head === null || !reached(this.cursor, this.#head)) return;
    this.#head = null;
    this.#on.onReplayed({ count: this.#replayed, resumed: this.#subscriptions > 1 });
  }

  #moveCursor(position) {
    this.cursor = position;
    // A full or forbidden storage must not stop delivery: the cursor then lasts as long as the page.
    try {
      this.#storage?.setItem(this.#key, position);
    } catch {
      // See above.
    }
  }
}
