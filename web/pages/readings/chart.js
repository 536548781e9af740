// One chart: the sensors of one unit on one axis (uPlot).

import uPlot from "../../vendor/uplot/uPlot.js";
import { clone } from "../common/dom.js";
import { clock, dayText, shortClock } from "../common/times.js";
import { paintLimits, paintLeftOut, paintQualities } from "./marks.js";
import { numberText, unitName } from "./words.js";

/** Pixels. */
const HEIGHT = 240;
const AXIS_FONT = "12px system-ui, sans-serif";

export class Chart {
  #root = clone("chart");
  #plot = null;
  #sensors = [];
  #data = [];
  #range = { from: 0, to: 1000 };
  #limit = null;
  #leftOut = [];
  #pointed = false; // the pointer is in this chart, or in another of the page
  #on;

  /** `on`: select(from, to), pan(share), zoom(factor, centre), key(event). */
  constructor(unit, on) {
    this.unit = unit;
    this.#on = on;
    this.#root.querySelector("h2").textContent = unitName(unit) || "no unit";
    const area = this.#area;
    new ResizeObserver(() => this.#resize()).observe(area);
    area.addEventListener("keydown", (event) => on.key(event));
    area.addEventListener("wheel", (event) => this.#onWheel(event), { passive: false });
  }

  get element() {
    return this.#root;
  }

  get #line() {
    return this.#root.querySelector(".read-out");
  }

  get #area() {
    return this.#root.querySelector(".plot");
  }

  /** Which sensors are shown; the ones that are hidden keep their place. */
  show(sensors) {
    const same = sensors.length === this.#sensors.length;
    const known = same && sensors.every((each, index) => each === this.#sensors[index]);
    this.#sensors = sensors;
    if (!known || !this.#plot) this.create();
    sensors.forEach(({ hidden }, index) => {
      const { show } = this.#plot.series[index + 1];
      if (show === hidden) this.#plot.setSeries(index + 1, { show: !hidden });
    });
  }

  /** Draws the part of time from `from` to `to`. */
  draw({ from, to }, limit, leftOut) {
    if (!this.#plot) return;
    this.#range = { from, to };
    this.#limit = limit ?? null;
    this.#leftOut = leftOut;
    const columns = Math.max(50, Math.floor(this.#plot.width / 2));
    if (this.#data[0]?.length !== 2 * columns) this.#data = this.#columns(columns);
    const width = (to - from) / columns;
    const [times] = this.#data;
    for (let place = 0; place < times.length; place += 1) {
      times[place] = (from + (place / 2 + 0.25) * width) / 1000;
    }
    this.#sensors.forEach(({ series, hidden }, index) => {
      if (!hidden) series.columns(from, to, columns, this.#data[index + 1]);
    });
    this.#plot.setData(this.#data);
    this.#describe();
  }

  /** Makes the plot anew: for other sensors, or other colours. */
  create() {
    this.#plot?.destroy();
    this.#data = [];
    const area = this.#area;
    const size = { width: Math.max(120, area.clientWidth), height: HEIGHT };
    this.#plot = new uPlot({ ...size, ...this.#options() }, [[0]], area);
  }

  remove() {
    this.#plot?.destroy();
    this.#root.remove();
  }

  #columns(columns) {
    const column = () => new Array(2 * columns).fill(null);
    return Array.from({ length: this.#sensors.length + 1 }, column);
  }

  #options() {
    const [text, grid] = [this.#colour("--text-muted"), this.#colour("--border")];
    const axis = { stroke: text, font: AXIS_FONT, grid: { stroke: grid, width: 1 } };
    const ticks = { stroke: grid, width: 1, size: 4 };
    const values = (_, splits, __, ___, step) => splits.map((time) => timeLabel(time, step));
    const numbers = (_, splits) => splits.map((each) => (each === null ? "" : numberText(each)));
    return {
      padding: [10, 28, 0, 0], // half of a time stands beyond the end
      legend: { show: false },
      cursor: { sync: { key: "readings" }, drag: { x: true, y: false, setScale: false } },
      scales: {
        x: { time: true, range: () => [this.#range.from / 1000, this.#range.to / 1000] },
        y: { range: (_, low, high) => padded(low, high) },
      },
      axes: [
        { ...axis, ticks, values, size: 34, space: 84 },
        { ...axis, ticks, values: numbers, size: widthOf },
      ],
      series: [{}, ...this.#sensors.map((sensor) => this.#series(sensor))],
      hooks: {
        draw: [(plot) => this.#paint(plot)],
        setSelect: [(plot) => this.#onSelect(plot)],
        setCursor: [(plot) => this.#readOut(plot)],
      },
    };
  }

  #series({ label, hue, hidden }) {
    const stroke = this.#colour("--hue", hue);
    return { label, stroke, width: 1.75, spanGaps: false, show: !hidden, points: { show: false } };
  }

  #paint(plot) {
    const colours = {
      danger: this.#colour("--danger"),
      warning: this.#colour("--warning"),
      surface: this.#colour("--surface"),
    };
    const shown = this.#sensors.filter(({ hidden }) => !hidden);
    paintLimits(plot, this.#limit, colours);
    paintLeftOut(plot, this.#leftOut, this.#range, colours);
    paintQualities(plot, shown, this.#range, colours);
  }

  #onSelect(plot) {
    const { left, width } = plot.select;
    if (width < 6) return;
    const [from, to] = [left, left + width].map((x) => plot.posToVal(x, "x") * 1000);
    plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
    this.#on.select(from, to);
  }

  /** What the sensors had where the pointer is; without one, the lowest and highest in sight. */
  #readOut(plot) {
    const { idx, left } = plot.cursor;
    this.#pointed = idx !== null && idx !== undefined && left >= 0;
    if (!this.#pointed) return this.#describe();
    const time = this.#data[0]?.[idx] * 1000;
    const shown = this.#sensors.filter(({ hidden }) => !hidden);
    const parts = shown.map(({ label, series }) => {
      const index = series.firstAfter(time) - 1;
      return index < 0 ? null : `${label} ${numberText(series.values[index])}`;
    });
    this.#line.textContent = [clock(time), ...parts.filter(Boolean).slice(0, 12)].join(" · ");
  }

  // Two fingers to the side move through time. With Ctrl, which is also a pinch, they zoom.
  #onWheel(event) {
    const zooms = event.ctrlKey || event.metaKey;
    if (!zooms && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    const { left, width } = this.#plot.over.getBoundingClientRect();
    if (!zooms) return this.#on.pan(event.deltaX / width);
    this.#on.zoom(Math.exp(event.deltaY / 200), (event.clientX - left) / width);
  }

  #describe() {
    const { from, to } = this.#range;
    const shown = this.#sensors.filter(({ hidden }) => !hidden).slice(0, 10);
    const parts = shown.map(({ label, series }) => {
      const found = series.extremes(from, to);
      return found ? `${label} from ${found.map(numberText).join(" to ")}` : `${label} nothing`;
    });
    if (!this.#pointed) this.#line.textContent = parts.join(" · ");
    const times = `${clock(from)} to ${clock(to)}`;
    const unit = unitName(this.unit) || "no unit";
    this.#area.ariaLabel = `Chart in ${unit}, ${times}: ${parts.join(", ")}`;
  }

  #resize() {
    if (this.#plot) this.#plot.setSize({ width: this.#area.clientWidth, height: HEIGHT });
  }

  // A canvas knows no custom properties: an element with the colour is asked.
  #colour(property, hue = "0") {
    const sample = this.#root.querySelector(".sample");
    sample.dataset.hue = hue;
    sample.style.color = `var(${property})`;
    return getComputedStyle(sample).color;
  }
}

function padded(low, high) {
  if (low === null) return [0, 1];
  const space = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return [low - space, high + space];
}

/** Pixels for the longest of the labels, in steps, so that the charts hardly move. */
function widthOf(_, labels) {
  const longest = Math.max(2, ...(labels ?? []).map(({ length }) => length));
  return 16 + 16 * Math.ceil(longest / 2);
}

function timeLabel(seconds, step) {
  const time = seconds * 1000;
  if (step >= 86_400) return dayText(time);
  if (step >= 60) return shortClock(time);
  return step < 1 ? (seconds % 60).toFixed(1) : clock(time);
}
