// A publish as an HTTP request. No I/O.

import { stringify } from "./json.js";

/** The request of a publish: its headers, path and body. */
export function httpOf({ channel, value, many, key, attributes, signal }) {
  const ce = Object.entries(attributes).map(([name, text]) => [`ce-${name}`, ceValue(text)]);
  const headers = { "Content-Type": "application/json" };
  if (key && !signal) headers["Idempotency-Key"] = key;
  const path = `/v1/channels/${encodeURIComponent(channel)}${signal ? "?signal=true" : ""}`;
  // An event that is an array is the only item of another one.
  const wrapped = Array.isArray(value) && !many && !signal ? [value] : value;
  return { headers: { ...headers, ...Object.fromEntries(ce) }, path, body: stringify(wrapped) };
}

/** The value of a `ce-` header (CloudEvents HTTP binding, 3.1.3.2). */
export const ceValue = (text) =>
  text.replace(/[^\x21-\x7e]|["%]/gu, (each) => encodeURIComponent(each.isWellFormed() ? each : "�"));
