// The messages on the page: the newest of the channel, below them the ones being sent. The log
// scrolls to new messages only while the person is at the bottom.

import { byId, clone } from "../common/dom.js";
import {
  messageRow,
  showAuthor,
  showDelivered,
  showFailed,
  showPending,
  showTime,
} from "./message-row.js";
import { Timeline } from "./timeline.js";

/** Rows while the person is at the bottom, and while older ones are read. */
const LIMIT = 500;
const READING_LIMIT = 5_000;
/** Pixels from the top at which older messages are asked for. */
const NEAR_TOP = 400;
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
  #timeline = new Timeline();
  #onDrop;
  #onTop;

  /** `onDrop(id)`: the message has left the page. `onTop()`: the person reads the oldest ones. */
  constructor(onDrop, onTop) {
    this.#onDrop = onDrop;
    this.#onTop = onTop;
    this.#scroller.addEventListener("scroll", () => this.#onScroll());
    this.#newer.addEventListener("click", () => this.follow());
    // The newest message stays in sight when a keyboard opens, or when a reaction needs room.
    const resized = new ResizeObserver(() => this.#following && this.follow());
    for (const each of [this.#scroller, this.#log]) resized.observe(each);
  }

  /** Adds a message from somebody else, or (`own`) the person's from another tab. */
  add(event, own, me) {
    this.#append(eventRow(event, own, me), event.data.sender, event.time);
    if (!this.#following) this.#announce();
  }

  /** Adds older messages above all others: `[event, own]`. What is in sight stays where it is. */
  addOlder(messages, me) {
    const timeline = new Timeline();
    const rows = messages.flatMap(([event, own]) =>
      timeline.next(eventRow(event, own, me), event.data.sender, event.time),
    );
    const first = this.#log.firstElementChild;
    const before = this.#scroller.scrollHeight;
    const days = rows.filter((row) => row.classList.contains("day"));
    if (first?.matches(".day") && days.at(-1)?.textContent === first.textContent) first.remove();
    this.#log.prepend(...rows);
    this.#scroller.scrollTop += this.#scroller.scrollHeight - before;
  }

  get empty() {
    return this.#log.childElementCount === 0 && this.#outbox.childElementCount === 0;
  }

  /** Whether there is room for older messages, so that nobody can scroll to them. */
  get unfilled() {
    return this.#scroller.scrollHeight <= this.#scroller.clientHeight;
  }

  /** The row of the person's newest message that is not deleted, or undefined. */
  lastOwn() {
    return [...this.#log.querySelectorAll(":scope > .own.changeable")].at(-1);
  }

  /** The row of the message with this id, or undefined. */
  row(id) {
    return this.#log.querySelector(`:scope > [data-id="${CSS.escape(id)}"]`);
  }

  /** Adds the person's message before the server has stored it. Returns its row. */
  addPending(data, me) {
    const row = messageRow(data, true, me);
    this.#outbox.append(row);
    showPending(row, this.#progress);
    this.follow();
    return row;
  }

  acknowledge(row, time) {
    showDelivered(row, time);
  }

  /** Moves a pending message to its place in the log. */
  settle(row, { id, time, data, by }) {
    if (id) row.dataset.id = id;
    showDelivered(row, time);
    showAuthor(row, data.sender, by);
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
    this.#log.append(...this.#timeline.next(row, sender, time));
    this.#trim();
    if (this.#following) this.follow();
  }

  #trim() {
    const limit = this.#following ? LIMIT : READING_LIMIT;
    while (this.#log.childElementCount > limit) {
      const row = this.#log.firstElementChild;
      row.remove();
      if (row.dataset.id) this.#onDrop(row.dataset.id);
    }
    this.#log.firstElementChild.classList.remove("follow");
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
    if (this.#scroller.scrollTop < NEAR_TOP && this.#log.childElementCount < READING_LIMIT) {
      this.#onTop();
    }
  }

  #atBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    return scrollHeight - scrollTop - clientHeight < BOTTOM;
  }
}

function eventRow({ id, time, data, by }, own, me) {
  const row = messageRow(data, own, me);
  row.dataset.id = id;
  showTime(row, time);
  showAuthor(row, data.sender, by);
  return row;
}
