// The part of history that a page shows. No I/O.
//
// A range is { since } (an age such as "15m", or a count such as "-500") and goes on with what
// comes next, or { from, to } in milliseconds, which ends.

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Milliseconds by which the clocks of server and browser may differ. */
const SKEW = 60_000;

/** The milliseconds of an age such as "15m"; null for a count. */
export function ageOf(since) {
  const found = /^(\d+)([smhd])$/.exec(since ?? "");
  return found ? Number(found[1]) * UNITS[found[2]] : null;
}

/** Where to subscribe: `since`, and the times that the events are between. */
export function beginningOf({ since, from, to }, now) {
  if (from === undefined) return { since };
  const seconds = Math.max(1, Math.ceil((now - from + SKEW) / 1000));
  return { since: `${seconds}s`, from, to };
}

/** Reads a range from a query; `usual` if there is none, or none that is right. */
export function rangeFrom(query, usual) {
  const [from, to] = ["from", "to"].map((name) => Date.parse(query.get(name) ?? ""));
  if (from < to) return { from, to };
  const since = query.get("since");
  return { since: ageOf(since) !== null || /^(-\d+|earliest)$/.test(since) ? since : usual };
}

/** Writes a range into a query. */
export function rangeInto(query, { since, from, to }) {
  for (const name of ["since", "from", "to"]) query.delete(name);
  if (since) return query.set("since", since);
  query.set("from", new Date(from).toISOString());
  query.set("to", new Date(to).toISOString());
}

/** For a field of type datetime-local: the time in the person's zone, to the second. */
export function localTime(milliseconds) {
  const date = new Date(milliseconds - new Date(milliseconds).getTimezoneOffset() * 60_000);
  return date.toISOString().slice(0, 19);
}
