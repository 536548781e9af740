// A channel type (GET /v1/types) in sentences. No I/O.

const UNITS = [
  [86_400, "day"],
  [3_600, "hour"],
  [60, "minute"],
  [1, "second"],
];

function duration(seconds) {
  const [size, unit] = UNITS.find(([each]) => seconds >= each) ?? [1, "second"];
  const count = Math.round(seconds / size);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

/** Payload, history and presence. */
export function describeType({ payload, history, presence }) {
  const parts = [`${payload} events`, describeHistory(history), presence && "shows who is there"];
  return parts.filter(Boolean).join(" · ");
}

function describeHistory({ events, age }) {
  if (!events) return "keeps no history";
  return `keeps the newest ${events.toLocaleString("en")}${age ? ` for ${duration(age)}` : ""}`;
}

const SLOW = {
  disconnect: "A subscriber that reads too slowly is disconnected and resumes.",
  drop: "A subscriber that reads too slowly misses events and is told how many.",
  latest: "A subscriber that reads too slowly gets the newest event of each key.",
};

/** Who may publish, and what happens to slow subscribers. */
export function describeRules({ publish, slow }) {
  return [describePublishers(publish), SLOW[slow]].filter(Boolean).join(" ");
}

function describePublishers(publish) {
  if (!publish.length) return "";
  if (!publish.includes("producer")) return "Events come from WebSocket clients.";
  const clients = publish.includes("client") ? " and WebSocket clients" : "";
  return `Events come from HTTP producers${clients}.`;
}
