// What the page of logs shows in place of its lines, or above them.

import { byId } from "../common/dom.js";
import { addressOf } from "../common/place.js";
import { showState } from "../common/state-view.js";
import { faultIn, whereOf } from "./where.js";

/** `lines`: how many are shown. */
export function showPageState({ live, patterns, fault, ended, lines, view }) {
  const faulty = live.error?.code === "invalid_filter";
  byId("fault").hidden = !faulty;
  byId("fault").textContent = faulty ? faultIn(live.error.message) : "";
  byId("where").setAttribute("aria-invalid", String(faulty));
  showBanner(live.connection, lines);
  showState(byId("state"), stateOf({ live, patterns, fault, ended, lines, view }));
}

function stateOf({ live, patterns, fault, ended, lines, view }) {
  if (fault) return refused(fault);
  const { error, connection } = live;
  if (error) return error.passing ? waiting(error.message) : refused(error.message, error.code);
  if (lines > 0) return null;
  if (connection.state === "stopped") return refused(connection.reason, connection.code);
  if (["offline", "waiting"].includes(connection.state)) return offline();
  if (live.state === "loading") return { kind: "loading", title: "Loading lines" };
  return empty(patterns, ended, whereOf(view) !== undefined);
}

function showBanner({ state }, lines) {
  const away = lines > 0 && ["offline", "waiting", "stopped"].includes(state);
  byId("banner").hidden = !away;
  const text = "No connection. Lines that come in the meantime follow when it is back.";
  if (away && byId("banner").textContent !== text) byId("banner").textContent = text;
}

const offline = () => ({
  kind: "offline",
  title: "No connection",
  text: "The lines are loaded as soon as the server can be reached.",
});

const waiting = (text) => ({ kind: "loading", title: "The server asks to wait", text });

function refused(text, code) {
  if (code === "invalid_filter") {
    const text = "Nothing is shown until the expression is right.";
    return { kind: "refused", title: "The filter is wrong", text };
  }
  const title = {
    unknown_channel: "No such channel type",
    invalid_channel: "This is not the name of a channel",
  }[code];
  const actions = [{ label: "Explore all channels", href: addressOf("explore") }];
  const wrong = title ?? "These lines cannot be shown";
  return { kind: "refused", title: wrong, text: text ?? "", actions };
}

function empty(patterns, ended, filtered) {
  if (filtered || ended) {
    const when = ended ? "in this time range" : "yet";
    return { kind: "empty", title: "No lines", text: `No line fits the filters ${when}.` };
  }
  const channel = patterns[0].replace(/\*/g, "api").replace(/>$/, "api");
  return {
    kind: "empty",
    title: "No lines yet",
    text: `The next line of ${patterns.join(", ")} appears here at once. To send one:`,
    example:
      `curl -d '{"level":"info","message":"service started"}' ` +
      addressOf(`v1/channels/${channel}`),
  };
}
