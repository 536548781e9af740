// Figures of a node from its /metrics, and the rates between two looks. No I/O.

import { moved } from "../common/rates.js";

const SAMPLE = /^(eventhub_\w+?)(?:_total)?(?:\{.*\})? ([0-9.e+-]+)$/gm;

/** What is shown: the label, the metric, and whether it is a rate. */
export const FIGURES = [
  ["published/s", "eventhub_events_published", true],
  ["delivered/s", "eventhub_events_delivered", true],
  ["refused/s", "eventhub_events_rejected", true],
  ["dropped/s", "eventhub_events_dropped", true],
  ["gaps/s", "eventhub_gaps", true],
  ["connections", "eventhub_connections", false],
  ["subscriptions", "eventhub_subscriptions", false],
  ["channels with subscribers", "eventhub_channels", false],
  ["bytes that wait", "eventhub_buffered_bytes", false],
];

/** The metrics by name, summed over their labels. */
export function sumsOf(text) {
  const sums = {};
  for (const [, name, value] of text.matchAll(SAMPLE)) sums[name] = (sums[name] ?? 0) + Number(value);
  return sums;
}

/** Each label with its value now, or its rate since `before`. `seconds`: between the two. */
export function figuresOf(before, now, seconds) {
  return FIGURES.map(([label, name, isRate]) => {
    const value = now[name] ?? 0;
    const rate = Math.max(0, value - (before?.[name] ?? value)) / seconds;
    return [label, isRate ? rate : value];
  });
}

/** The channels with the most events since `before`, then those with most subscribers. */
export function busiest(before, channels, seconds, most = 10) {
  const heads = new Map(before.map(({ name, head }) => [name, head]));
  return channels
    .map((each) => ({ ...each, rate: moved(heads.get(each.name), each.head) / seconds }))
    .sort((a, b) => b.rate - a.rate || b.subscribers - a.subscribers)
    .slice(0, most);
}

/** Whom an action on a connection is for: the body of a request, or null for an anonymous client. */
export function targetOf({ kind, name }) {
  if (kind === "token") return { subject: name };
  return kind === "key" ? { key: name } : null;
}
