// Bars of lines over time by level, on a canvas. A range is chosen with the pointer; the fields for
// a time range do the same from the keyboard.

import { clock, datedClock } from "../common/times.js";
import { LEVELS } from "./where.js";

/** Pixels of a bar with its gap. */
const BAR = 8;
/** Pixels that the pointer moves at least to choose a range. */
const DRAG = 6;

export class Histogram {
  #canvas;
  #caption;
  #labels;
  #onRange;
  #shown = null;
  #dragged = null;
  #pointer = null;

  /** `caption` says what is under the pointer. `onRange(from, to)`: a range was chosen. */
  constructor(canvas, { caption, labels, onRange }) {
    this.#canvas = canvas;
    this.#caption = caption;
    this.#labels = labels;
    this.#onRange = onRange;
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#end(event));
    canvas.addEventListener("pointercancel", () => this.#cancel());
    canvas.addEventListener("pointerleave", () => this.#leave());
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#paint());
    new ResizeObserver(() => this.#paint()).observe(canvas);
  }

  /** How many bars fit. */
  get most() {
    return Math.max(10, Math.floor(this.#canvas.clientWidth / BAR));
  }

  /** `bars`: as LevelCounts.bars() returns them. */
  show(from, to, { step, bars }) {
    this.#shown = { from, to, step, bars };
    const total = LEVELS.map((_, level) => sum(bars.map(({ counts }) => counts[level])));
    const days = to - from > 20 * 3_600_000;
    const label = days ? datedClock : clock;
    this.#labels[0].textContent = label(bars[0].at);
    this.#labels[1].textContent = label(to);
    this.#canvas.ariaLabel = `Lines over time. ${this.#range(bars[0].at, to)}: ${said(total)}.`;
    if (!this.#pointer) this.#caption.textContent = `${said(total)} · ${duration(step)} a bar`;
    this.#paint();
  }

  #paint() {
    if (!this.#shown) return;
    const canvas = this.#canvas;
    const scale = devicePixelRatio;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    canvas.width = width * scale;
    canvas.height = height * scale;
    const context = canvas.getContext("2d");
    context.scale(scale, scale);
    const { bars } = this.#shown;
    const most = Math.max(1, ...bars.map(({ counts }) => sum(counts)));
    const each = width / bars.length;
    const colours = LEVELS.map((level) => this.#colour(level));
    bars.forEach(({ counts }, index) => {
      let bottom = height;
      counts.forEach((count, level) => {
        const tall = (count / most) * (height - 2);
        if (!count) return;
        context.fillStyle = colours[level];
        const shown = Math.max(1.5, tall); // one error among thousands is seen
        context.fillRect(index * each, bottom - shown, Math.max(1, each - 1.5), shown);
        bottom -= shown;
      });
    });
    if (this.#dragged) this.#paintRange(context, height);
  }

  #paintRange(context, height) {
    const { begin, end } = this.#dragged;
    context.globalAlpha = 0.2;
    context.fillStyle = this.#colour("info");
    context.fillRect(Math.min(begin, end), 0, Math.abs(end - begin), height);
    context.globalAlpha = 1;
  }

  // A canvas knows no custom properties: an element with the colour is asked.
  #colour(level) {
    const sample = this.#canvas.parentElement.querySelector(`[data-sample="${level}"]`);
    return getComputedStyle(sample).color;
  }

  #timeAt(x) {
    const { step, bars } = this.#shown;
    const share = Math.min(1, Math.max(0, x / this.#canvas.clientWidth));
    return bars[0].at + share * step * bars.length;
  }

  #begin({ offsetX, pointerId, button }) {
    if (!this.#shown || button !== 0) return;
    this.#canvas.setPointerCapture(pointerId);
    this.#dragged = { begin: offsetX, end: offsetX };
  }

  #move({ offsetX }) {
    if (!this.#shown) return;
    this.#pointer = offsetX;
    const { step, bars } = this.#shown;
    if (this.#dragged) {
      this.#dragged.end = offsetX;
      const [from, to] = [this.#dragged.begin, offsetX].sort((one, other) => one - other);
      this.#caption.textContent = this.#range(this.#timeAt(from), this.#timeAt(to));
      return this.#paint();
    }
    const index = Math.floor((this.#timeAt(offsetX) - bars[0].at) / step);
    const bar = bars[Math.min(bars.length - 1, index)];
    this.#caption.textContent = `${this.#range(bar.at, bar.at + step)}: ${said(bar.counts)}`;
  }

  #end({ offsetX }) {
    const dragged = this.#dragged;
    this.#dragged = null;
    this.#paint();
    if (!dragged || Math.abs(offsetX - dragged.begin) < DRAG) return;
    const [from, to] = [dragged.begin, offsetX].sort((one, other) => one - other);
    this.#onRange(this.#timeAt(from), this.#timeAt(to));
  }

  #cancel() {
    this.#dragged = null;
    this.#paint();
  }

  #leave() {
    this.#pointer = null;
  }

  #range(from, to) {
    return `${clock(from)} to ${clock(to)}`;
  }
}

const sum = (numbers) => numbers.reduce((one, other) => one + other, 0);

function said(counts) {
  const part = (count, level) => count && `${count.toLocaleString("en")} ${LEVELS[level]}`;
  return counts.map(part).filter(Boolean).reverse().join(", ") || "no lines";
}

function duration(step) {
  const seconds = step / 1000;
  if (seconds < 60) return `${seconds} s`;
  return seconds < 3600 ? `${seconds / 60} min` : `${seconds / 3600} h`;
}
