// What the page of logs shows in place of its lines, or above them.

import { byId } from "../common/dom.js";
import { pageState, showBanner } from "../common/page-state.js";
import { showState } from "../common/state-view.js";
import { faultIn, whereOf } from "./where.js";

const AWAY = "No connection. Lines that come in the meantime follow when it is back.";
const WORDS = {
  things: "lines",
  payload: { level: "info", message: "service started" },
  sample: "api",
};

/** `lines`: how many are shown. `ended`: whether the time range is over. */
export function showPageState({ live, patterns, fault, ended, lines, view }) {
  const faulty = live.error?.code === "invalid_filter";
  byId("fault").hidden = !faulty;
  byId("fault").textContent = faulty ? faultIn(live.error.message, view.expression) : "";
  byId("where").setAttribute("aria-invalid", String(faulty));
  showBanner(live.connection, lines > 0, AWAY);
  const state = pageState({ live, patterns, fault, count: lines }, WORDS);
  showState(byId("state"), faulty ? WRONG : nothingFits(state, ended, view));
}

const WRONG = {
  kind: "refused",
  title: "The filter is wrong",
  text: "Nothing is shown until the expression is right.",
};

function nothingFits(state, ended, view) {
  if (state?.kind !== "empty" || (!ended && whereOf(view) === undefined)) return state;
  const when = ended ? "in this time range" : "yet";
  const what = whereOf(view) === undefined ? "There is no line" : "No line fits the filters";
  return { kind: "empty", title: "No lines", text: `${what} ${when}.` };
}
