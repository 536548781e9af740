// The messages on the page: the newest of the channel, below them the ones being sent. The log
// scrolls to new messages only while the person is at the bottom.

import { byId, clone } from "../common/dom.js";
import { messageRow, showDelivered, showFailed, showPending, showTime } from "./message-row.js";

const LIMIT = 500;
/** Milliseconds: messages of one sender within this time are shown as a group. */
const GROUP_WITHIN = 5 * 60_000;
/** Pixels: the person is at the bottom if no more than this is below. */
const BOTTOM = 48;

export class MessageLog {
  #scroller = byId("scroller");
  #log = byId("log");
  #outbox = byId("outbox");
  #newer = byId("newer");
  #following = true;
  #frame = null;
  #unseen = 0;
  #away = null;
  #progress = "sending…";
  #last = { sender: null, time: 0, day: "" };

  constructor() {
    this.#scroller.addEventListener("scroll", () => this.#onScroll());
    this.#newer.addEventListener("click", () => this.follow());
    // The newest message stays in sight when a keyboard opens.
    new ResizeObserver(() => this.#following && this.follow()).observe(this.#scroller);
  }

  /** Adds a message from somebody else, or (`own`) the person's from another tab. */
  add({ time, data }, own) {
    const row = messageRow(data, own);
    showTime(row, time);
    this.#append(row, data.sender, time);
    if (!this.#following) this.#announce();
  }

  /** Adds the person's message before the server has stored it. Returns its row. */
  addPending(data) {
    const row = messageRow(data, true);
    this.#outbox.append(row);
    showPending(row, this.#progress);
    this.follow();
    return row;
  }

  acknowledge(row, time) {
    showDelivered(row, time);
  }

  /** Moves a pending message to its place in the log. */
  settle(row, { time, data }) {
    showDelivered(row, time);
    this.#append(row, data.sender, time);
  }

  fail(row, reason) {
    showFailed(row, reason);
    if (this.#following) this.follow();
  }

  retry(row) {
    showPending(row, this.#progress);
  }

  /** Tells pending messages whether there is a connection. */
  connected(open) {
    this.#progress = open ? "sending…" : "waiting for the connection…";
    const clocks = this.#outbox.querySelectorAll(".pending time");
    for (const clock of clocks) clock.textContent = this.#progress;
  }

  notice(text) {
    const row = clone("notice");
    row.firstElementChild.textContent = text;
    this.#append(row, null, null);
  }

  /** Marks the start of an absence above the first missed message, sent at `time`. */
  away(time) {
    this.#away?.remove(); // only the newest absence is marked
    this.#away = clone("away");
    this.#away.firstElementChild.textContent = "While you were away";
    this.#append(this.#away, null, time);
  }

  /** Adds the number of missed messages, once: a screen reader announces each change. */
  missed(count) {
    const messages = count === 1 ? "1 message" : `${count} messages`;
    this.#away.firstElementChild.textContent = `While you were away: ${messages}`;
    // More were missed than the page keeps, so the mark had been dropped.
    if (!this.#away.isConnected) this.#log.prepend(this.#away);
  }

  /** The history has arrived. From now on a screen reader announces messages. */
  ready() {
    this.#log.removeAttribute("aria-busy");
  }

  /** Scrolls to the newest message and stays there. At most once a frame, as it costs a layout. */
  follow() {
    this.#following = true;
    this.#unseen = 0;
    this.#newer.hidden = true;
    this.#frame ??= requestAnimationFrame(() => {
      this.#frame = null;
      this.#following = true;
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
    });
  }

  #append(row, sender, time) {
    // The scroll event may not have arrived yet if the person has just left the bottom.
    if (this.#frame === null) this.#following &&= this.#atBottom();
    if (time !== null) this.#separateDays(time);
    const soon = new Date(time) - this.#last.time < GROUP_WITHIN;
    row.classList.toggle("follow", sender !== null && sender === this.#last.sender && soon);
    this.#log.append(row);
    this.#last = { ...this.#last, sender, time: new Date(time) };
    while (this.#log.childElementCount > LIMIT) this.#log.firstElementChild.remove();
    this.#log.firstElementChild.classList.remove("follow");
    if (this.#following) this.follow();
  }

  #separateDays(time) {
    const day = dayName(new Date(time), new Date());
    if (day === this.#last.day) return;
    const row = clone("day");
    row.querySelector("time").textContent = day;
    row.querySelector("time").dateTime = time.slice(0, 10);
    this.#log.append(row);
    this.#last = { sender: null, time: 0, day };
  }

  #announce() {
    this.#unseen += 1;
    const messages = this.#unseen === 1 ? "1 new message" : `${this.#unseen} new messages`;
    this.#newer.textContent = `${messages} ↓`;
    this.#newer.hidden = false;
  }

  #onScroll() {
    this.#following = this.#atBottom();
    if (this.#following && this.#unseen) this.follow();
  }

  #atBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < BOTTOM;
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
