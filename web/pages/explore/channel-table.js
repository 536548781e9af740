// The table of channels with their rates. A row keeps its place in the document while its numbers
// change, so that the focus stays on its link.

import { clone } from "../common/dom.js";
import { moved, shown } from "../common/rates.js";
import { exploredChannel } from "./addresses.js";

/** Rates that a line shows, one for each look. */
const POINTS = 30;
const WIDTH = 90;
const HEIGHT = 24;

export class ChannelTable {
  #body;
  #rows = new Map();
  #skew = 0;

  /** `body`: a tbody. */
  constructor(body) {
    this.#body = body;
  }

  /** The server's clock now, in milliseconds; NaN if it is not known. */
  serverTime(now) {
    if (!Number.isNaN(now)) this.#skew = now - Date.now();
  }

  show(channels) {
    const now = performance.now();
    const rows = new Map();
    for (const channel of channels) {
      const row = this.#rows.get(channel.name) ?? { element: clone("channel-row"), rates: [] };
      rows.set(channel.name, row);
      this.#update(row, channel, now);
    }
    const elements = [...rows.values()].map(({ element }) => element);
    for (const [at, element] of elements.entries()) {
      if (this.#body.rows[at] !== element) this.#body.insertBefore(element, this.#body.rows[at] ?? null);
    }
    while (this.#body.rows.length > elements.length) this.#body.lastElementChild.remove();
    this.#rows = rows;
  }

  #update(row, { name, head, time, events, subscribers, members }, now) {
    const { element, rates } = row;
    if (row.at !== undefined) rates.push((moved(row.head, head) * 1000) / (now - row.at));
    rates.splice(0, rates.length - POINTS);
    Object.assign(row, { head, at: now });
    const link = element.querySelector("a");
    if (!link.textContent) {
      link.textContent = name;
      link.href = exploredChannel(name);
    }
    const rate = rates.at(-1);
    element.classList.toggle("quiet", !rate);
    write(element, ".rate", rate === undefined ? "…" : shown(rate));
    write(element, ".newest", time === null ? "–" : ago(Date.now() + this.#skew - Date.parse(time)));
    write(element, ".kept", shown(events));
    write(element, ".subscribers", shown(subscribers));
    write(element, ".members", members === null ? "–" : shown(members));
    write(element, ".head", head ?? "–");
    element.querySelector("polyline").setAttribute("points", pointsOf(rates));
  }
}

function write(row, selector, text) {
  const cell = row.querySelector(selector);
  if (cell.textContent !== text) cell.textContent = text;
}

/** The points of a line through these rates, the newest at the right. */
export function pointsOf(rates) {
  const most = Math.max(...rates, 1);
  const step = WIDTH / (POINTS - 1);
  const at = (index) => (WIDTH - (rates.length - 1 - index) * step).toFixed(1);
  const high = (rate) => (HEIGHT - 2 - (rate / most) * (HEIGHT - 4)).toFixed(1);
  return rates.map((rate, index) => `${at(index)},${high(rate)}`).join(" ");
}

const UNITS = [
  [86_400, "d"],
  [3_600, "h"],
  [60, "min"],
  [1, "s"],
];

/** How long ago, in words: 3 s, 5 min. */
export function ago(milliseconds) {
  const seconds = milliseconds / 1000;
  const [size, unit] = UNITS.find(([each]) => seconds >= each) ?? [1, ""];
  return unit ? `${Math.floor(seconds / size)} ${unit} ago` : "now";
}
