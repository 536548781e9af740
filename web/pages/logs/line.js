// An event of a log, or a note between events, as a line of the page. No I/O.

import { shortName } from "../common/patterns.js";

const REASONS = {
  expired: "older than what the channel keeps",
  reset: "the channel's log was lost; what follows is a new log",
  unreadable: "the stored events cannot be read",
  slow: "this page read too slowly",
  conflated: "this page read too slowly",
};

/** A line of an event. A payload that is no log record is shown as JSON. */
export function lineOf(event) {
  const { channel, id, time, data } = event;
  const { level = "info", message = JSON.stringify(data) } = data ?? {};
  return { at: Date.parse(time), channel, id, level, message, event };
}

/** A line that says what is missing. */
export function gapLine({ channel, after, position, reason, skipped }, at) {
  const range = `after ${after ?? "the beginning"} up to ${position ?? "now"}`;
  const count = skipped === undefined ? "" : ` (${skipped})`;
  return { at, channel, note: `Missing${count}: ${range}, ${REASONS[reason] ?? reason}.` };
}

/** The logger and the fields, as `name=value`, to stand behind the message. */
export function summaryOf({ event }) {
  const { logger, fields } = event?.data ?? {};
  const parts = logger ? [logger] : [];
  for (const [name, value] of Object.entries(fields ?? {})) {
    parts.push(`${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  }
  return parts.join(" ");
}

/** All of an event: [label, value, path in data or null], nested fields with dots. */
export function detailsOf({ event }) {
  const { channel, id, time, data, by, attributes } = event;
  const rows = [
    ["channel", channel, null],
    ["received", time, null],
    ...Object.entries(data ?? {}).flatMap(([name, value]) => leaves([name], value)),
    ["id", id, null],
  ];
  if (by) rows.push(["by", by, null]);
  if (attributes) rows.push(["attributes", JSON.stringify(attributes), null]);
  return rows;
}

function leaves(path, value) {
  const inner = value !== null && typeof value === "object" && !Array.isArray(value);
  if (!inner || path.length > 8) return [[path.join("."), value, path]];
  return Object.entries(value).flatMap(([name, each]) => leaves([...path, name], each));
}

/** How many rows of text this many columns make of a text, at most `most`. */
export function rowsOf(text, columns, most) {
  let rows = 0;
  for (const part of text.split("\n", most)) {
    rows += Math.max(1, Math.ceil(widthOf(part) / columns));
    if (rows >= most) return most;
  }
  return rows;
}

// East Asian characters and emoji take two columns.
function widthOf(text) {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += character.codePointAt(0) > 0x10ff ? 2 : 1;
  return width + 8 * (text.split("\t").length - 1);
}

export const serviceOf = ({ channel }) => shortName(channel);
