// The newest events of a channel as table rows: bounded, filtered, drawn at most once a frame.

const LIMIT = 500;
/** Characters: shorter JSON is shown on one line. */
const ONE_LINE = 72;
const CLOCK = {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3,
  hourCycle: "h23",
};

const REASONS = {
  expired: "the events are older than what the channel keeps",
  reset: "the channel's log was lost or reset; the events that follow are a new log",
  unreadable: "the stored events cannot be read",
  slow: "this page read too slowly; events were left out",
  conflated: "this page read too slowly; only the newest event of each key was sent",
};

/** JSON for people: on one line if it is short. */
export function pretty(data) {
  const text = JSON.stringify(data, null, 2);
  const line = text.replace(/\n\s*/g, " ");
  return line.length <= ONE_LINE ? line : text;
}

export class EventTable {
  #parts;
  #waiting = [];
  #shown = [];
  #received = 0;
  #filter = "";
  #paused = false;
  #scheduled = false;

  /**
   * `parts`: the elements body, count and empty; the templates eventRow and gapRow; and
   * onWaiting(count), called with the number of events that wait while the table is paused.
   */
  constructor(parts) {
    this.#parts = parts;
  }

  addEvent({ id, time, data, attributes }) {
    this.#received += 1;
    this.#add({ id, time, text: pretty(data), attributes });
  }

  addGap({ after, position, reason, skipped }) {
    const range = `after ${after ?? "the beginning"} up to ${position}`;
    const count = skipped === undefined ? "" : `, ${skipped} in number`;
    this.#add({ gap: `Gap ${range}: ${REASONS[reason] ?? reason}${count}.` });
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
    if (this.#waiting.length > 2 * LIMIT) this.#waiting.splice(0, LIMIT);
    this.#schedule();
  }

  #schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
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
    const template = this.#parts[item.gap ? "gapRow" : "eventRow"];
    const row = template.content.firstElementChild.cloneNode(true);
    if (item.gap) row.firstElementChild.textContent = item.gap;
    else this.#fill(row, item);
    row.hidden = !this.#matches(row);
    return row;
  }

  #fill(row, { id, time, text, attributes }) {
    const date = new Date(time);
    const clock = row.querySelector("time");
    row.querySelector(".id").textContent = id;
    clock.dateTime = time;
    clock.title = date.toLocaleString();
    clock.textContent = date.toLocaleTimeString("en", CLOCK);
    row.querySelector("pre").textContent = attributes ? `${text}\n${pretty(attributes)}` : text;
  }

  #matches(row) {
    return !this.#filter || row.textContent.toLowerCase().includes(this.#filter);
  }

  #showCounts() {
    const { count, empty, onWaiting } = this.#parts;
    const matching = this.#shown.filter((row) => !row.hidden).length;
    const counts = [
      `${this.#received.toLocaleString("en")} event${this.#received === 1 ? "" : "s"}`,
    ];
    if (this.#received > LIMIT) counts.push(`newest ${LIMIT} kept`);
    if (this.#filter) counts.push(`${matching} shown`);
    count.textContent = counts.join(" · ");
    empty.hidden = this.#shown.length > 0;
    onWaiting(this.#paused ? Math.min(this.#waiting.length, LIMIT) : 0);
  }
}
