// How many lines of each level came in each second. No I/O.

import { LEVELS } from "./where.js";

/** Seconds with lines that are kept. */
const KEPT = 20_000;
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600, 86_400];

export class LevelCounts {
  #seconds = new Map();
  total = 0;

  add(milliseconds, level) {
    const second = Math.floor(milliseconds / 1000);
    let counts = this.#seconds.get(second);
    if (!counts) {
      counts = LEVELS.map(() => 0);
      this.#seconds.set(second, counts);
      if (this.#seconds.size > KEPT) this.#seconds.delete(this.#seconds.keys().next().value);
    }
    counts[LEVELS.indexOf(level)] += 1;
    this.total += 1;
  }

  clear() {
    this.#seconds.clear();
    this.total = 0;
  }

  /** Milliseconds of the first line that is counted, or null. */
  get begin() {
    let first = Infinity;
    for (const second of this.#seconds.keys()) first = Math.min(first, second);
    return first === Infinity ? null : first * 1000;
  }

  /** At most `most` bars from `from` to `to` (milliseconds): { step, bars: [{ at, counts }] }. */
  bars(from, to, most) {
    const seconds = Math.max(1, (to - from) / 1000);
    const step = STEPS.find((each) => seconds / each <= most - 1) ?? Math.ceil(seconds / most);
    const first = Math.floor(from / 1000 / step);
    const last = Math.floor(to / 1000 / step);
    const bars = Array.from({ length: last - first + 1 }, (_, index) => ({
      at: (first + index) * step * 1000,
      counts: LEVELS.map(() => 0),
    }));
    for (const [second, counts] of this.#seconds) {
      const bar = bars[Math.floor(second / step) - first];
      if (bar) counts.forEach((count, level) => (bar.counts[level] += count));
    }
    return { step: step * 1000, bars };
  }
}
