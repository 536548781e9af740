// A channel type, as /v1/types gives it, in words. No I/O.

function duration(seconds) {
  const units = [[86_400, "day"], [3_600, "hour"], [60, "minute"], [1, "second"]];
  const [size, unit] = units.find(([size]) => seconds >= size) ?? [1, "second"];
  const count = Math.round(seconds / size);
  return `${count} ${unit}${count === 1 ? "" : "s"}`;
}

export function describeType({ payload, history, presence }) {
  const age = history.age ? ` for ${duration(history.age)}` : "";
  const kept = history.events ? `keeps the newest ${history.events.toLocaleString("en")}${age}` : "keeps no history";
  return [`${payload} events`, kept, presence && "shows who is there"].filter(Boolean).join(" · ");
}

const SLOW = {
  disconnect: "A reader that is too slow is disconnected and resumes.",
  drop: "A reader that is too slow misses events, and is told how many.",
  latest: "A reader that is too slow gets the newest event of each key.",
};

/** Who may publish to it, and what becomes of slow readers. */
export function describeRules({ publish, slow }) {
  const who = publish.includes("client") ? "HTTP producers and WebSocket clients" : "HTTP producers";
  return [publish.length ? `Events come from ${publish.includes("producer") ? who : "WebSocket clients"}.` : "", SLOW[slow] ?? ""].join(" ").trim();
}
