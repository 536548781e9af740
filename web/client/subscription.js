// One subscriber of a channel: its cursor, duplicates, and the end of the replay. No I/O.

import { Channel } from "./channel.js";
import { reached } from "./positions.js";
import { Subscriber } from "./subscriber.js";

const MISSED = new Set(["expired", "reset"]);

export class Subscription extends Subscriber {
  #subscribed = false;
  #subscriptions = 0;
  #head = null;
  #replayed = 0;

  constructor(channel, options, store) {
    super(channel, options, store);
    this.cursor = null;
    /** Whether it gets the newest event of each key. It may begin with a part of it. */
    this.state = /^state\b/.test(this.begins);
    /** Whether all up to the head has arrived. */
    this.whole = false;
    /** Whether the channel must be subscribed to again for it. */
    this.again = false;
  }

  newChannel(ref) {
    return new Channel(this.channel, ref, this.where);
  }

  /** Where to begin, or to resume. */
  get since() {
    if (this.cursor === null) return this.begins;
    return this.state ? `state:${this.cursor}` : this.cursor;
  }

  /** Whether it needs more than the events that come next. */
  get wantsMore() {
    return this.begins !== "latest" || this.presence || Boolean(this.member);
  }

  /** Begins at a position, among subscribers that have begun already. */
  begin(position) {
    this.#subscribed = this.whole = true;
    this.cursor = position;
  }

  /** Ignores what comes until the channel is subscribed to again. */
  pause() {
    this.#subscribed = this.again = false;
  }

  /** Whether the subscription that this message begins would leave out events. */
  wouldMiss({ position }) {
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
    if (type === "filter_failed") this.tell("onFilterFailed", message);
    if (type === "signal") this.tell("onSignal", message);
    if (type === "join") this.tell("onJoin", message.member);
    if (type === "leave") this.tell("onLeave", message.member);
    if (type === "update") this.tell("onUpdate", message.member);
    if (type === "presence") this.tell("onPresence", message);
  }

  #onSubscribed(message) {
    this.#subscribed = true;
    this.#subscriptions += 1;
    this.#head = message.head;
    this.#replayed = 0;
    this.whole = false;
    // Within an epoch the cursor never moves back: events of the last connection stay duplicates.
    if (this.cursor === null || !reached(this.cursor, message.position)) {
      this.cursor = message.position;
    }
    this.#handled(this.tell("onSubscribed", message));
  }

  #onEvent(event) {
    if (reached(this.cursor, event.id)) return; // a duplicate
    const replay = this.#head !== null;
    this.#replayed += replay;
    this.cursor = event.id;
    this.#handled(this.tell("onEvent", event, { replay }));
  }

  #onGap(gap) {
    // The state as it is now follows only a gap before its end; after any other it is read again.
    this.again = this.state && this.whole && MISSED.has(gap.reason);
    this.cursor = this.again ? null : gap.position;
    if (this.again) this.begins = "state";
    this.#handled(this.tell("onGap", gap));
  }

  /** The events up to there do not match the filter. */
  #onPosition({ position }) {
    if (reached(this.cursor, position)) return;
    this.cursor = position;
    this.#handled();
  }

  #handled(handler) {
    const { cursor, since } = this;
    if (cursor === null) return;
    // A part of a state is continued on the next page load, too.
    this.keep(handler, () => since);
    if (this.#head === null || !reached(cursor, this.#head)) return;
    this.#head = null;
    this.whole = true;
    this.tell("onReplayed", { count: this.#replayed, resumed: this.#subscriptions > 1 });
  }
}
