// Puts rows in the order of time: a line where a day begins, and messages of one sender as a group.

import { clone } from "../common/dom.js";

/** Milliseconds: messages of one sender within this time are shown as a group. */
const GROUP_WITHIN = 5 * 60_000;

export class Timeline {
  #last = { sender: null, time: 0, day: "" };

  /** The rows to append for this one: itself, perhaps after the line of its day. */
  next(row, sender, time) {
    const rows = time === null ? [row] : [...this.#day(time), row];
    const soon = new Date(time) - this.#last.time < GROUP_WITHIN;
    row.classList.toggle("follow", sender !== null && sender === this.#last.sender && soon);
    this.#last = { ...this.#last, sender, time: new Date(time) };
    return rows;
  }

  #day(time) {
    const day = dayName(new Date(time), new Date());
    if (day === this.#last.day) return [];
    this.#last = { sender: null, time: 0, day };
    const row = clone("day");
    const clock = row.querySelector("time");
    clock.textContent = day;
    clock.dateTime = time.slice(0, 10);
    return [row];
  }
}

/** Today, Yesterday, or the date, in the reader's time zone. */
export function dayName(date, now) {
  const midnight = (each) => new Date(each.getFullYear(), each.getMonth(), each.getDate());
  const days = Math.round((midnight(now) - midnight(date)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return date.toLocaleDateString([], {
    weekday: "long",
    day: "numeric",
    month: "long",
    year: "numeric",
  });
}
