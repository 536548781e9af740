// One subscriber of a channel: its cursor, duplicates, and the end of the replay. No I/O.

import { Channel } from "./channel.js";
import { reached } from "./positions.js";
import { Subscriber } from "./subscriber.js";

const TOLD = {
  filter_failed: "onFilterFailed",
  signal: "onSignal",
  presence: "onPresence",
  join: "onJoin",
  leave: "onLeave",
  update: "onUpdate",
};

export class Subscription extends Subscriber {
  #subscriptions = 0;
  #head = null;
  #replayed = 0;

  cursor = null;
  /** Whether the server's answer has come, and it was not paused since. */
  subscribed = false;
  /** Whether all up to the head has arrived. */
  whole = false;
  /** Whether the channel must be subscribed to again for it. */
  again = false;

  newChannel(ref) {
    return new Channel(this.channel, ref, this.where);
  }

  /** Where to begin, or to resume. */
  get since() {
    return this.cursor ?? this.begins;
  }

  /** Whether it needs more than the events that come next. */
  get wantsMore() {
    return this.begins !== "latest" || this.presence || Boolean(this.member);
  }

  /** Begins at a position, among subscribers that have begun already. */
  begin(position) {
    this.subscribed = this.whole = true;
    this.cursor = position;
  }

  /** Ignores what comes until the channel is subscribed to again. */
  pause() {
    this.subscribed = this.again = false;
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
    if (!this.subscribed) return;
    if (type === "event") this.#onEvent(message);
    if (type === "gap") this.#onGap(message);
    if (type === "position") this.#onPosition(message);
    if (TOLD[type]) this.tell(TOLD[type], message.member ?? message);
  }

  #onSubscribed(message) {
    this.subscribed = true;
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
    this.cursor = gap.position;
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
    // A part of a state is continued on the next page load, too.
    this.keep(handler, () => since);
    if (this.#head === null || !reached(cursor, this.#head)) return;
    this.#head = null;
    this.whole = true;
    this.tell("onReplayed", { count: this.#replayed, resumed: this.#subscriptions > 1 });
  }
}
