// The newest events of a channel as table rows: bounded, filtered, and drawn at most once a frame.

const LIMIT = 500;
const ONE_LINE = 72;
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" };

const REASONS = {
  expired: "events are gone: older than what the channel keeps",
  reset: "the channel's log was lost or reset; what follows is the new log",
  unreadable: "what is stored there cannot be read",
  slow: "this page read too slowly; events were left out",
  conflated: "this page read too slowly; only the newest event of each key was sent",
};

/** JSON for people: one line where it is short. */
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
  #needle = "";
  #paused = false;
  #scheduled = false;

  /** `parts`: body, count, empty, eventRow and gapRow (templates), onWaiting(count) while paused. */
  constructor(parts) {
    this.#parts = parts;
  }

  addEvent(event) {
    this.#received += 1;
    this.#add({ id: event.id, time: event.time, text: pretty(event.data), attributes: event.attributes });
  }

  addGap(gap) {
    const skipped = gap.skipped === undefined ? "" : `, ${gap.skipped} in number`;
    this.#add({ gap: `Gap after ${gap.after ?? "the beginning"} up to ${gap.position}: ${REASONS[gap.reason] ?? gap.reason}${skipped}.` });
  }

  filter(needle) {
    this.#needle = needle.trim().toLowerCase();
    for (const row of this.#shown) row.hidden = !this.#matches(row);
    this.#tell();
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
    this.#tell();
  }

  // What falls off here while paused, or in a background tab, would have fallen off the table too.
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
    this.#tell();
    if (this.#paused) return;
    const rows = this.#waiting.splice(0).slice(-LIMIT).map((item) => this.#row(item)).reverse();
    this.#parts.body.prepend(...rows);
    this.#shown.unshift(...rows);
    for (const row of this.#shown.splice(LIMIT)) row.remove();
    this.#tell();
  }

  #row(item) {
    const row = this.#parts[item.gap ? "gapRow" : "eventRow"].content.firstElementChild.cloneNode(true);
    if (item.gap) row.firstElementChild.textContent = item.gap;
    else this.#fill(row, item);
    row.hidden = !this.#matches(row);
    return row;
  }

  #fill(row, { id, time, text, attributes }) {
    const moment = new Date(time);
    const clock = row.querySelector("time");
    row.querySelector(".id").textContent = id;
    clock.dateTime = time;
    clock.title = moment.toLocaleString();
    clock.textContent = moment.toLocaleTimeString("en", CLOCK);
    row.querySelector("pre").textContent = attributes ? `${text}\n${pretty(attributes)}` : text;
  }

  #matches(row) {
    return !this.#needle || row.textContent.toLowerCase().includes(this.#needle);
  }

  #tell() {
    const matching = this.#shown.filter((row) => !row.hidden).length;
    const parts = [`${this.#received.toLocaleString("en")} event${this.#received === 1 ? "" : "s"}`];
    if (this.#received > LIMIT) parts.push(`newest ${LIMIT} kept`);
    if (this.#needle) parts.push(`${matching} shown`);
    this.#parts.count.textContent = parts.join(" · ");
    this.#parts.empty.hidden = this.#shown.length > 0;
    this.#parts.onWaiting(this.#paused ? Math.min(this.#waiting.length, LIMIT) : 0);
  }
}
