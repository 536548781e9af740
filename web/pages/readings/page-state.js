// What the page of readings shows in place of its values, or above them.

import { byId } from "../common/dom.js";
import { pageState, showBanner } from "../common/page-state.js";
import { showState } from "../common/state-view.js";

const WORDS = { things: "readings", payload: { value: 21.5, unit: "Cel" }, sample: "t1" };

/** `sensors`: how many are shown. */
export function showPageState({ live, patterns, fault, sensors }) {
  showBanner(live.connection, sensors > 0, "No connection. The values are the last ones known.");
  showState(byId("state"), pageState({ live, patterns, fault, count: sensors }, WORDS));
}
