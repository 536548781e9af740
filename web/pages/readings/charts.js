// The charts of the page, one for each unit, and how a person moves through time in them.

import { Chart } from "./chart.js";

/** Charts that are shown. */
const MOST = 8;
const KEYS = {
  ArrowLeft: (line, now) => line.pan(-0.25, now),
  ArrowRight: (line, now) => line.pan(0.25, now),
  "+": (line, now) => line.zoom(0.5, now),
  "=": (line, now) => line.zoom(0.5, now),
  "-": (line, now) => line.zoom(2, now),
  End: (line) => line.follow(),
};

export class Charts {
  #root;
  #charts = new Map();
  #on;

  /** `on.move(change)`: calls change(timeline, now), and draws. */
  constructor(root, on) {
    this.#root = root;
    this.#on = on;
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#charts.forEach((chart) => chart.create()));
  }

  /** `range`: from and to. `limits`: by unit. */
  draw(sensors, range, limits) {
    const groups = [...sensors.groups].slice(0, MOST);
    for (const [unit, chart] of this.#charts) {
      if (groups.some(([each]) => each === unit)) continue;
      chart.remove();
      this.#charts.delete(unit);
    }
    for (const [unit, group] of groups) {
      const chart = this.#chart(unit);
      const channels = new Set(group.map(({ channel }) => channel));
      const leftOut = sensors.conflated.filter(({ channel }) => channels.has(channel));
      chart.show(group);
      chart.draw(range, limits.get(unit), leftOut);
    }
  }

  #chart(unit) {
    const known = this.#charts.get(unit);
    if (known) return known;
    const chart = new Chart(unit, {
      select: (from, to) => this.#on.move((line) => line.show(from, to)),
      pan: (share) => this.#on.move((line, now) => line.pan(share, now)),
      zoom: (factor, centre) => this.#on.move((line, now) => line.zoom(factor, now, centre)),
      key: (event) => this.#onKey(event),
    });
    this.#charts.set(unit, chart);
    this.#root.append(chart.element);
    return chart;
  }

  #onKey(event) {
    const change = KEYS[event.key];
    if (!change || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.#on.move(change);
  }
}
