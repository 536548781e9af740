// Loads the readings of a time range that is not on the page, over a connection of its own, which
// is closed when they have come.

import { EventHub } from "../../client/eventhub.js";
import { SERVER } from "../common/place.js";
import { beginningOf } from "../common/time-range.js";
import { whereTime } from "../common/where-time.js";

/** Calls onEvent for each reading from `from` to `to`, then onEnd. Returns what can be closed. */
export function loadRange(patterns, { from, to }, token, onEvent, onEnd) {
  const hub = new EventHub(SERVER, { token });
  const { since } = beginningOf({ from, to }, Date.now());
  const where = whereTime(from, to);
  const waiting = new Set(patterns);
  for (const pattern of patterns) {
    const onReplayed = () => {
      waiting.delete(pattern);
      if (waiting.size) return;
      hub.close();
      onEnd();
    };
    hub.subscribe(pattern, { since, where, onEvent, onReplayed, onError: () => hub.close() });
  }
  return hub;
}
