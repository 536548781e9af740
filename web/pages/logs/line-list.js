// The list of lines: only those in sight are elements, and they are drawn at most once a frame.

import { clone } from "../common/dom.js";
import { exactClock, fullTime } from "../common/times.js";
import { rowsOf, serviceOf, summaryOf } from "./line.js";

const ROW = 24;
const TEXT_ROW = 20;
/** Rows of text that a line has at most; its details have all of it. */
const MOST_ROWS = 20;
/** Milliseconds between two drawings of new lines: nobody reads faster. */
const PAUSE = 50;
/** A time with as many characters as any: 22:22:22.222 on 22 December. */
const LATE = new Date(2026, 11, 22, 22, 22, 22, 222).getTime();
/** Pixels from the end within which the list follows new lines. */
const END = 8;

export class LineList {
  wrap = false;
  #scroller;
  #space;
  #window;
  #lines;
  #tail;
  #on;
  #rows = [];
  #columns = 80;
  #narrow = false;
  #selected = null;
  #scheduled = false;
  #timer = null;
  #last = { top: 0, height: 0 };

  /**
   * `scroller` holds one element that is as high as all lines, and in it the rows in sight. `on`:
   * select(line), open(line), drawn() and hueOf(channel).
   */
  constructor(scroller, on) {
    this.#scroller = scroller;
    this.#space = scroller.firstElementChild;
    this.#window = this.#space.firstElementChild;
    this.#on = on;
    scroller.addEventListener("scroll", () => this.#onScroll());
    scroller.addEventListener("keydown", (event) => this.#onKey(event));
    this.#window.addEventListener("click", ({ target }) => this.#onClick(target.closest(".line")));
    new ResizeObserver(() => this.layout()).observe(scroller);
  }

  /** `lines` and `tail` have the height of this list's lines. */
  show(lines, tail) {
    this.#lines = lines;
    this.#tail = tail;
  }

  /** Pixels of a line. */
  height({ message, note, event }) {
    const above = this.#narrow && !note ? ROW : 4;
    if (!this.wrap && !note) return above + TEXT_ROW;
    const text = note ?? `${message} ${summaryOf({ event })}`;
    return above + TEXT_ROW * rowsOf(text, this.#columns, MOST_ROWS);
  }

  get selected() {
    return this.#selected;
  }

  /** Selects a line and brings it into sight; null: none. */
  select(line) {
    this.#selected = line;
    if (line) this.#reveal(line);
    this.schedule();
  }

  /** The width or the wrapping has changed. */
  layout() {
    const anchor = this.#anchor();
    this.#narrow = matchMedia("(width <= 48rem)").matches;
    this.#scroller.classList.toggle("wrap", this.wrap);
    this.#scroller.style.setProperty("--time-width", `${exactClock(LATE).length}ch`);
    this.#row(0); // which is measured
    const cell = this.#rows[0].querySelector(".message");
    const probe = this.#scroller.querySelector(".probe");
    this.#columns = Math.max(10, Math.floor((cell.clientWidth * 100) / probe.offsetWidth));
    this.#lines.measure();
    if (anchor && this.#tail.held) {
      this.#space.style.height = `${this.#lines.top(this.#lines.length)}px`;
      this.#scroller.scrollTop = this.#lines.top(anchor.index) - anchor.below;
    }
    this.schedule();
  }

  /** The line that stays where it is: the selected one, if it is in sight, or the first. */
  #anchor() {
    const { scrollTop, clientHeight } = this.#scroller;
    const below = (index) => this.#lines.top(index) - scrollTop;
    const { channel, id } = this.#selected ?? {};
    const selected = id === undefined ? -1 : this.#lines.find(channel, id);
    const inSight = selected >= 0 && below(selected) >= 0 && below(selected) < clientHeight;
    const index = inSight ? selected : this.#lines.indexAt(scrollTop);
    return this.#lines.length ? { index, below: below(index) } : null;
  }

  /** Draws with the next frame. */
  schedule() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#draw();
    });
  }

  /** Draws when it is due, for what nobody waits for. */
  scheduleLater() {
    this.#timer ??= setTimeout(() => this.schedule(), PAUSE);
  }

  /** Goes to the newest line and follows. */
  follow() {
    this.#tail.release();
    this.schedule();
  }

  #draw() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const lines = this.#lines;
    const removed = lines.takeRemoved();
    const total = lines.top(lines.length);
    const { clientHeight } = this.#scroller;
    const held = this.#tail.held;
    const top = held ? Math.max(0, this.#scroller.scrollTop - removed) : total - clientHeight;
    this.#space.style.height = `${total}px`;
    if (!held || removed) this.#scroller.scrollTop = top;
    this.#last = { top: this.#scroller.scrollTop, height: clientHeight };
    const first = lines.indexAt(Math.max(0, top));
    let count = 0;
    while (first + count < lines.length && lines.top(first + count) < top + clientHeight + ROW) {
      this.#fill(this.#row(count), first + count);
      count += 1;
    }
    for (const row of this.#rows.slice(count)) row.hidden = true;
    this.#window.style.transform = `translateY(${lines.length ? lines.top(first) : 0}px)`;
    this.#markActive();
    this.#on.drawn();
  }

  #row(number) {
    if (!this.#rows[number]) {
      const row = clone("line");
      row.id = `line-${number}`;
      this.#rows[number] = row;
      this.#window.append(row);
    }
    return this.#rows[number];
  }

  #fill(row, index) {
    const line = this.#lines.at(index);
    row.hidden = false;
    row.style.height = `${this.height(line)}px`;
    row.setAttribute("aria-selected", String(line === this.#selected));
    row.ariaPosInSet = String(index + 1);
    row.ariaSetSize = String(this.#lines.length);
    if (row.line === line) return;
    row.line = line;
    const [time, service, level, message] = row.children;
    row.dataset.level = line.note ? "" : line.level;
    row.dataset.hue = line.channel ? this.#on.hueOf(line.channel) : "";
    row.classList.toggle("note", Boolean(line.note));
    time.textContent = line.note ? "" : exactClock(line.at);
    time.title = line.note ? "" : fullTime(line.at);
    service.textContent = line.channel ? serviceOf(line) : "";
    level.textContent = line.note ? "" : line.level;
    message.firstChild.data = `${line.note ?? line.message} `;
    message.lastChild.textContent = summaryOf(line);
  }

  #markActive() {
    const row = this.#rows.find((each) => !each.hidden && each.line === this.#selected);
    if (row && this.#selected) this.#scroller.setAttribute("aria-activedescendant", row.id);
    else this.#scroller.removeAttribute("aria-activedescendant");
  }

  #reveal(line) {
    const index = this.#lines.find(line.channel, line.id);
    if (index < 0) return;
    const { scrollTop, clientHeight } = this.#scroller;
    const [top, bottom] = [this.#lines.top(index), this.#lines.top(index + 1)];
    if (top >= scrollTop && bottom <= scrollTop + clientHeight) return;
    this.#tail.hold();
    const far = top < scrollTop - clientHeight || bottom > scrollTop + 2 * clientHeight;
    if (far) this.#scroller.scrollTop = top - clientHeight / 2;
    else this.#scroller.scrollTop = top < scrollTop ? top : bottom - clientHeight;
  }

  // Only a person who scrolls up holds the list: it is moved, too, when the page becomes higher.
  #onScroll() {
    const { scrollTop, clientHeight, scrollHeight } = this.#scroller;
    const { top, height } = this.#last;
    if (scrollHeight - scrollTop - clientHeight <= END) this.#tail.release();
    else if (scrollTop < top - 1 && clientHeight === height) this.#tail.hold();
    this.schedule();
  }

  #onClick(row) {
    if (!row?.line || row.line.note) return;
    this.#tail.hold(); // the line would move away
    this.select(row.line);
    this.#on.open(row.line);
  }

  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps = { ArrowUp: -1, ArrowDown: 1 };
    if (event.key in steps) this.#step(steps[event.key]);
    else if (event.key === "Home") this.#moveTo(0);
    else if (event.key === "End") this.follow();
    else if (event.key === "Enter" && this.#selected) this.#on.open(this.#selected);
    else return this.#on.key(event);
    event.preventDefault();
  }

  #step(step) {
    const selected = this.#selected;
    const found = selected ? this.#lines.find(selected.channel, selected.id) : -1;
    this.#moveTo(found < 0 ? this.#lines.length - 1 : found + step, step);
  }

  /** Selects the line there, or the next one in that direction that is no note. */
  #moveTo(index, step = 1) {
    let each = index;
    while (this.#lines.at(each)?.note) each += step;
    const line = this.#lines.at(each);
    if (!line) return;
    this.#tail.hold();
    this.select(line);
    this.#on.select(line);
  }
}
