// Loads the readings of a time range that is not on the page, over a connection of its own, which
// is closed when they have come.

import { EventHub } from "../../client/eventhub.js";
import { addressOf } from "../common/place.js";
import { beginningOf } from "../common/time-range.js";
import { whereTime } from "../common/where-time.js";

export class History {
  #token;
  #hub = null;
  #loaded = [];

  /** `token()`: the token of the page. */
  constructor(token) {
    this.#token = token;
  }

  /** Everything since this time is on the page. */
  startedAt(from) {
    this.#loaded = [{ from, to: Infinity }];
  }

  /** Whether this range is on the page. */
  has(from, to) {
    return this.#loaded.some((each) => each.from <= from && each.to >= to);
  }

  /** Calls onEvent for each reading, then onEnd. What was being loaded is given up. */
  load(patterns, { from, to }, { onEvent, onEnd }) {
    this.stop();
    const hub = new EventHub(addressOf(""), { token: this.#token() });
    this.#hub = hub;
    const { since } = beginningOf({ from, to }, Date.now());
    const waiting = new Set(patterns);
    const done = (pattern) => {
      waiting.delete(pattern);
      if (waiting.size || this.#hub !== hub) return;
      this.#loaded.push({ from, to });
      this.stop();
      onEnd();
    };
    for (const pattern of patterns) {
      const ended = () => done(pattern);
      const where = whereTime(from, to);
      hub.subscribe(pattern, { since, where, onEvent, onReplayed: ended, onError: ended });
    }
  }

  stop() {
    this.#hub?.close();
    this.#hub = null;
  }
}
