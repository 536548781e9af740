// What the lines between events say: gaps, a lost connection, a resume. No I/O.

const REASONS = {
  expired: "the events are older than what the channel keeps",
  reset: "the channel's log was lost or reset; the events that follow are a new log",
  unreadable: "the stored events cannot be read",
  slow: "this page read too slowly; events were left out",
  conflated: "this page read too slowly; only the newest event of each key was sent",
};

export function describeGap({ channel, after, position, reason, skipped }, withChannel) {
  const where = withChannel ? ` in ${channel}` : "";
  const range = position ? `after ${after ?? "the beginning"} up to ${position}` : "";
  const count = skipped === undefined ? "" : `, ${skipped.toLocaleString("en")} in number`;
  return `Gap${where}${range && ` ${range}`}: ${REASONS[reason] ?? reason}${count}.`;
}

/** `count`: the events that came while the connection was lost. */
export function describeResume(count) {
  if (!count) return "Resumed. Nothing came in the meantime.";
  const came = count === 1 ? "The event" : `The ${count.toLocaleString("en")} events`;
  return `Resumed. ${came} that came in the meantime ${count === 1 ? "is" : "are"} below.`;
}

export const describeLoss = ({ reason }) =>
  reason ? `The connection was lost: ${reason}.` : "The connection begins again.";
