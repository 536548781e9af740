// What came over a subscription, as table rows, newest first: bounded, filtered, and drawn so that a
// flood leaves time for everything else.

import { colourOf } from "../common/colour.js";
import { exactClock, fullTime } from "../common/times.js";
import { pretty } from "./json.js";
import { showJson } from "./json-view.js";
import { describeGap } from "./marks.js";

export const LIMIT = 500;
/** Of the time between two drawings, at most a part of so much is spent on the next one. */
const SHARE = 5;
/** Milliseconds. */
const LONGEST_PAUSE = 1_000;
const DETAILS = ["key", "deleted", "by"];

export class Rows {
  #parts;
  #waiting = [];
  #shown = [];
  #received = 0;
  #filter = "";
  #paused = false;
  #timer = null;
  #pause = 0;

  /**
   * `parts`: the elements body and count; the templates eventRow and markRow; onWaiting(count), with
   * the number of rows that wait while the table is paused; onDrawn(total).
   */
  constructor(parts) {
    this.#parts = parts;
  }

  /** How many events came, and whether something is shown. */
  get received() {
    return this.#received;
  }

  get empty() {
    return this.#shown.length === 0;
  }

  /** Adds an event or a signal. `withChannel`: says of which channel it is. */
  addEvent(event, withChannel = false) {
    this.#received += 1;
    this.#add({ event, withChannel });
  }

  addGap(gap, withChannel = false) {
    this.addMark("gap", describeGap(gap, withChannel));
  }

  /** A line of its own: a gap, a lost connection, a resume. */
  addMark(kind, text) {
    this.#add({ kind, text });
  }

  /** Shows only the rows that contain `text`, in upper or lower case. */
  filter(text) {
    this.#filter = text.trim().toLowerCase();
    for (const row of this.#shown) row.hidden = !this.#matches(row);
    this.#showCounts();
  }

  pause(paused) {
    this.#paused = paused;
    this.#schedule();
  }

  clear() {
    this.#waiting = [];
    this.#shown = [];
    this.#received = 0;
    this.#parts.body.replaceChildren();
    this.#showCounts();
  }

  // Bounded while paused or in a background tab: the table would drop the oldest anyway.
  #add(item) {
    this.#waiting.push(item);
    if (this.#waiting.length > 2 * LIMIT) this.#waiting.splice(0, this.#waiting.length - LIMIT);
    this.#schedule();
  }

  #schedule() {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const began = performance.now();
      this.#draw();
      this.#pause = Math.min(LONGEST_PAUSE, (performance.now() - began) * SHARE);
    }, this.#pause);
  }

  #draw() {
    this.#showCounts();
    if (this.#paused) return;
    const items = this.#waiting.splice(0).slice(-LIMIT);
    const rows = items.map((item) => this.#row(item)).reverse();
    this.#parts.body.prepend(...rows);
    this.#shown.unshift(...rows);
    for (const row of this.#shown.splice(LIMIT)) row.remove();
    this.#showCounts();
  }

  #row(item) {
    const template = this.#parts[item.event ? "eventRow" : "markRow"];
    const row = template.content.firstElementChild.cloneNode(true);
    if (item.event) fill(row, item);
    else {
      row.className = `mark ${item.kind}`;
      row.firstElementChild.textContent = item.text;
    }
    row.hidden = !this.#matches(row);
    return row;
  }

  #matches(row) {
    return !this.#filter || row.textContent.toLowerCase().includes(this.#filter);
  }

  #showCounts() {
    const { count, onWaiting, onDrawn } = this.#parts;
    const matching = this.#shown.filter((row) => !row.hidden).length;
    const counts = [
      `${this.#received.toLocaleString("en")} event${this.#received === 1 ? "" : "s"}`,
    ];
    if (this.#received > LIMIT) counts.push(`newest ${LIMIT} kept`);
    if (this.#filter) counts.push(`${matching} shown`);
    const text = counts.join(" · ");
    if (count.textContent !== text) count.textContent = text;
    onWaiting(this.#paused ? Math.min(this.#waiting.length, LIMIT) : 0);
    onDrawn();
  }
}

function fill(row, { event, withChannel }) {
  const { id, time, data, attributes = {}, channel, type } = event;
  const when = row.querySelector("time");
  row.querySelector(".id").textContent = id ?? type;
  when.dateTime = time;
  when.title = fullTime(Date.parse(time));
  when.textContent = exactClock(Date.parse(time));
  const about = row.querySelector(".about");
  if (withChannel) about.append(chip("channel", channel, colourOf(channel)));
  for (const name of DETAILS) if (event[name] !== undefined) about.append(chip(name, event[name]));
  if (event.refers) about.append(chip(event.relation, event.refers));
  for (const [name, value] of Object.entries(attributes)) about.append(chip(name, value));
  about.hidden = !about.childElementCount;
  showJson(row.querySelector("pre"), pretty(data));
}

function chip(name, value, hue) {
  const made = document.createElement("span");
  const label = document.createElement("span");
  made.className = "chip";
  if (hue !== undefined) made.dataset.hue = hue;
  label.textContent = name;
  made.append(label, " ", String(value));
  return made;
}
