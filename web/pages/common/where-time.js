// The filter (PROTOCOL.md, "Filters") for a range of time. No I/O.

const timestamp = (time) => `timestamp("${new Date(time).toISOString()}")`;

/** Events from `from`, before `to` (milliseconds); either may be undefined. */
export function whereTime(from, to) {
  const parts = [];
  if (from !== undefined) parts.push(`time >= ${timestamp(from)}`);
  if (to !== undefined) parts.push(`time < ${timestamp(to)}`);
  return parts.length ? parts.join(" && ") : undefined;
}
