// What the page shows, as its address says: filters, time range, wrapping, a line. No I/O.

import { rangeFrom, rangeInto } from "../common/time-range.js";
import { LEVELS } from "./where.js";

export const USUAL = "-1000";

/** Reads the view from a query. */
export function viewFrom(query) {
  const list = (name) => (query.get(name) ?? "").split(",").filter(Boolean);
  const levels = list("level").filter((level) => LEVELS.includes(level));
  return {
    levels: levels.length ? levels : [...LEVELS],
    services: list("service"),
    text: query.get("text") ?? "",
    expression: query.get("where") ?? "",
    range: rangeFrom(query, USUAL),
    wrap: query.has("wrap"),
    event: eventFrom(query.get("event")),
  };
}

/** Writes the view as a query: what is usual is left out. */
export function queryOf({ levels, services, text, expression, range, wrap, event }) {
  const query = new URLSearchParams();
  if (levels.length < LEVELS.length) query.set("level", levels.join(","));
  if (services.length) query.set("service", services.join(","));
  if (text.trim()) query.set("text", text.trim());
  if (expression.trim()) query.set("where", expression.trim());
  if (range.since !== USUAL) rangeInto(query, range);
  if (wrap) query.set("wrap", "");
  if (event) query.set("event", `${event.channel}@${event.id}`);
  return query;
}

function eventFrom(text) {
  const [channel, id, more] = (text ?? "").split("@");
  return channel && id && more === undefined ? { channel, id } : null;
}
