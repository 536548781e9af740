// The messages on the page: a bounded log, below it what is on its way, and the scroll position, which follows only at the bottom.

import { dress } from "./people.js";

const LIMIT = 500;
const SAME_BREATH = 5 * 60_000;
const BOTTOM = 48;
// toLocaleString() would look its format up anew for each message.
const CLOCK = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit" });
const MOMENT = new Intl.DateTimeFormat([], { dateStyle: "short", timeStyle: "medium" });
const byId = (id) => document.getElementById(id);
const clone = (id) => byId(id).content.firstElementChild.cloneNode(true);

export class ChatLog {
  #scroller = byId("scroller");
  #log = byId("log");
  #outbox = byId("outbox");
  #newer = byId("newer");
  #following = true;
  #frame = null;
  #unseen = 0;
  #away = null;
  #sending = "sending…";
  #last = { sender: null, time: 0, day: "" };

  constructor() {
    this.#scroller.addEventListener("scroll", () => this.#scrolled());
    this.#newer.addEventListener("click", () => this.follow());
    // A keyboard that opens, a message that grows: the newest line stays in sight.
    new ResizeObserver(() => this.#following && this.follow()).observe(this.#scroller);
  }

  /** Somebody's message, or mine from another tab (`own`). */
  add({ time, data }, own) {
    const row = this.#row(data, own);
    this.#stamp(row, time);
    this.#append(row, data.sender, time);
    if (!this.#following) this.#announce();
  }

  /** My message before the server has it. Returns its row. */
  addPending(data) {
    const row = this.#row(data, true);
    row.querySelector("time").textContent = this.#sending;
    this.#outbox.append(row);
    row.classList.add("pending");
    this.follow();
    return row;
  }

  acknowledge(row, time) {
    row.classList.remove("pending", "failed");
    this.#stamp(row, time);
    row.querySelector(".failure").hidden = true;
    row.querySelector(".mark").textContent = " ✓";
    row.querySelector(".mark").setAttribute("role", "img");
    row.querySelector(".mark").setAttribute("aria-label", "delivered");
  }

  /** A pending message takes its place among the others. */
  settle(row, { time, data }) {
    this.acknowledge(row, time);
    this.#append(row, data.sender, time);
  }

  fail(row, reason) {
    row.classList.replace("pending", "failed");
    row.querySelector("time").textContent = "";
    row.querySelector(".failure").hidden = false;
    row.querySelector(".reason").textContent = `Not sent: ${reason}`;
    if (this.#following) this.follow();
  }

  retry(row) {
    row.classList.replace("failed", "pending");
    row.querySelector(".failure").hidden = true;
    row.querySelector("time").textContent = this.#sending;
  }

  /** Whether what is on its way is being sent now, or waits for a connection. */
  connected(open) {
    this.#sending = open ? "sending…" : "waiting for the connection…";
    for (const clock of this.#outbox.querySelectorAll(".pending time")) clock.textContent = this.#sending;
  }

  notice(text) {
    const row = clone("notice");
    row.firstElementChild.textContent = text;
    this.#append(row, null, null);
  }

  /** Marks where an absence began, above the first message missed, which is of `time`. There is one such mark: the newest. */
  away(time) {
    this.#away?.remove();
    this.#away = clone("away");
    this.#away.firstElementChild.textContent = "While you were away";
    this.#append(this.#away, null, time);
  }

  /** How many were missed: written once, at the end, as a screen reader says each change. */
  missed(count) {
    this.#away.firstElementChild.textContent = `While you were away: ${count === 1 ? "1 message" : `${count} messages`}`;
    // More were missed than the page keeps: all that is here is new.
    if (!this.#away.isConnected) this.#log.prepend(this.#away);
  }

  /** The history has arrived: from now on a screen reader is told. */
  ready() {
    this.#log.removeAttribute("aria-busy");
  }

  /** Goes to the newest line and stays there; at most once a frame, as it makes the browser lay out the page. */
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

  #row(data, own) {
    const row = clone("message");
    row.classList.toggle("own", own);
    dress(row, data.sender);
    row.querySelector(".text").textContent = data.text;
    return row;
  }

  #stamp(row, time) {
    const moment = new Date(time);
    const clock = row.querySelector("time");
    clock.dateTime = time;
    clock.title = MOMENT.format(moment);
    clock.textContent = CLOCK.format(moment);
  }

  #append(row, sender, time) {
    // The scroll event of somebody who has just left the bottom may not have come yet.
    if (this.#frame === null) this.#following &&= this.#atBottom();
    if (time !== null) this.#separate(time);
    const soon = new Date(time) - this.#last.time < SAME_BREATH;
    row.classList.toggle("follow", sender !== null && sender === this.#last.sender && soon);
    this.#log.append(row);
    this.#last = { ...this.#last, sender, time: new Date(time) };
    while (this.#log.childElementCount > LIMIT) this.#log.firstElementChild.remove();
    this.#log.firstElementChild.classList.remove("follow");
    if (this.#following) this.follow();
  }

  #separate(time) {
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
    this.#newer.textContent = this.#unseen === 1 ? "1 new message ↓" : `${this.#unseen} new messages ↓`;
    this.#newer.hidden = false;
  }

  #scrolled() {
    this.#following = this.#atBottom();
    if (this.#following && this.#unseen) this.follow();
  }

  #atBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < BOTTOM;
  }
}

/** Today, Yesterday, or the date, in the reader's own time zone. */
export function dayName(moment, now) {
  const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
  const days = Math.round((midnight(now) - midnight(moment)) / 86_400_000);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  return moment.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long", year: "numeric" });
}
