// A gap (PROTOCOL.md, "Gap") as a sentence. No I/O.

const REASONS = {
  expired: "the room keeps them for a limited time",
  unreadable: "they cannot be read from the server's storage",
  slow: "this page read too slowly",
  conflated: "this page read too slowly",
};

const count = (skipped) =>
  skipped === 1 ? "1 message was" : `${skipped.toLocaleString("en")} messages were`;

/** Describes a gap message to the reader of a conversation. */
export function describeGap({ reason, skipped }) {
  if (reason === "reset") return "The server lost its history; messages may be missing here.";
  const lost = skipped ? `${count(skipped)} lost` : "Some messages were lost";
  return REASONS[reason] ? `${lost}: ${REASONS[reason]}.` : `${lost}.`;
}
