// What a page shows in place of its content: loading, empty, offline, refused.

import { TOKEN_ERRORS } from "../../client/errors.js";
import { byId } from "./dom.js";
import { addressOf } from "./place.js";

/** Says above the content that there is no connection. */
export function showBanner({ state }, hasContent, text) {
  const away = hasContent && ["offline", "waiting", "stopped"].includes(state);
  byId("banner").hidden = !away;
  if (away && byId("banner").textContent !== text) byId("banner").textContent = text;
}

/**
 * The state for showState(), or null if there is content. `live`: a Live. `fault`: what is wrong
 * with the address, or null. `count`: how much is shown. `words`: what the page calls its
 * `things`, and `payload` and `sample` (the end of a channel's name) for a command.
 */
export function pageState({ live, patterns, fault, count }, words) {
  const { error, connection } = live;
  if (fault) return refused(fault, null, words);
  if (error?.passing) return waiting(error);
  if (error) return refused(error.message, error.code, words);
  if (count > 0) return null;
  if (connection.state === "stopped") {
    const { code, reason } = connection; // what is wrong with a token stands in the form for it
    return refused(TOKEN_ERRORS.has(code) ? "" : reason, code, words);
  }
  if (["offline", "waiting"].includes(connection.state)) return offline(words);
  if (live.state === "loading") return { kind: "loading", title: `Loading ${words.things}` };
  return empty(patterns, words);
}

const waiting = ({ message }) => ({
  kind: "loading",
  title: "The server asks to wait",
  text: message,
});

const TITLES = {
  unknown_channel: "No such channel type",
  invalid_channel: "This is not the name of a channel",
};

function refused(text, code, { things }) {
  const actions = [{ label: "Explore all channels", href: addressOf("explore") }];
  const title = TITLES[code] ?? `These ${things} cannot be shown`;
  return { kind: "refused", title, text: text ?? "", actions };
}

const offline = ({ things }) => ({
  kind: "offline",
  title: "No connection",
  text: `The ${things} are loaded as soon as the server can be reached.`,
});

function empty(patterns, { things, payload, sample }) {
  const channel = patterns[0].replace(/\*/g, sample).replace(/>$/, sample);
  return {
    kind: "empty",
    title: `No ${things} yet`,
    text: `The next one of ${patterns.join(", ")} appears here at once. To send one:`,
    example: `curl -d '${JSON.stringify(payload)}' ${addressOf(`v1/channels/${channel}`)}`,
  };
}
