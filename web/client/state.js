// One subscriber of the state of a channel: the newest event of each key, then every change
// (PROTOCOL.md, "State"). It is loaded when the first one subscribes. No I/O.

import { isForgotten } from "./positions.js";
import { Subscription } from "./subscription.js";

export class StateSubscription extends Subscription {
  state = true;

  /** It goes on with what has changed since, also after a part of the state. */
  get since() {
    return this.cursor === null ? this.begins : `state:${this.cursor}`;
  }

  /**
   * Those that the next subscription of the channel is for. A state leaves out events that the
   * others need, so those that read one go first, alone.
   */
  first(all) {
    const fresh = all.filter((each) => each.state && each.cursor === null);
    if (fresh.length > 0) return fresh;
    const partly = all.filter((each) => each.state && !each.whole);
    return partly.length === 0 || all.every((each) => each.state) ? all : partly;
  }

  // PROTOCOL.md, "Coming back". After `-0` all that is needed follows, and so it does after a
  // conflated gap.
  receive(message) {
    const { type, reason } = message;
    const missed = type === "gap" && (reason === "slow" || isForgotten(message));
    if (!missed || !this.subscribed) return super.receive(message);
    this.again = true;
    if (reason !== "slow") [this.begins, this.cursor] = ["state", null];
    this.tell("onGap", message);
  }
}
