// The filter that the server evaluates (PROTOCOL.md, "Filters"), from what the page selects. No
// I/O.

import { whereTime } from "../common/where-time.js";

export const LEVELS = ["debug", "info", "warning", "error", "critical"];

/**
 * `levels` and `services` (channels): those that are shown; none: all. `text`: part of the message
 * or of the logger's name. `expression`: a filter of the person's own; it comes first, so that the
 * columns in faults are its own (faultIn). `from` and `to`: milliseconds. Returns undefined if
 * everything is shown.
 */
export function whereOf({ levels = [], services = [], text = "", expression = "", from, to }) {
  const parts = expression.trim() ? [`(${expression.trim()})`] : [];
  if (levels.length && levels.length < LEVELS.length) parts.push(`data.level in ${list(levels)}`);
  if (services.length) parts.push(`channel in ${list(services)}`);
  if (text.trim()) parts.push(contains(text.trim()));
  const between = whereTime(from, to);
  if (between) parts.push(between);
  return parts.length ? parts.join(" && ") : undefined;
}

/** The fault that the server finds, as if the expression had no bracket around it. */
export function faultIn(message, expression) {
  const end = expression.trim().length + 1;
  return message.replace("where is no filter: ", "").replace(/column (\d+): (.*)/, (_, at, words) => {
    const column = Math.max(1, at - 1);
    const ended = column === end ? words.replace(/(.*), found '\)'/, "it ends here; $1") : words;
    const fault = ended.replace("expected a name", "$& after the dot, as in data.level");
    return `column ${column}: ${fault}`;
  });
}

/** An expression that holds for events that have this value in `data`, at `path`. */
export function equals(path, value) {
  const literal = typeof value === "string" ? text(value) : JSON.stringify(value);
  return `${named(path)} == ${literal}`;
}

/** An expression that holds for all other events, also for those that have nothing there. */
export function differs(path, value) {
  const parts = path.flatMap((_, at) => {
    const part = path.slice(0, at + 1);
    return at < path.length - 1 ? [present(part), `${named(part)} != null`] : [present(part)];
  });
  return `!(${[...parts, equals(path, value)].join(" && ")})`;
}

function present(path) {
  const name = path.at(-1);
  if (PLAIN.test(name)) return `has(${named(path)})`;
  return `${text(name)} in ${named(path.slice(0, -1))}`;
}

const PLAIN = /^[A-Za-z_]\w*$/;
const named = (path) =>
  `data${path.map((name) => (PLAIN.test(name) ? `.${name}` : `[${text(name)}]`)).join("")}`;

// The server's lowerAscii() leaves all other letters as they are.
function contains(part) {
  const wanted = text(part.replace(/[A-Z]/g, (letter) => letter.toLowerCase()));
  const has = (name) => `${name}.lowerAscii().contains(${wanted})`;
  return `(${has("data.message")} || has(data.logger) && ${has("data.logger")})`;
}

const text = (value) => JSON.stringify(value);
const list = (values) => `[${values.map(text).join(", ")}]`;
