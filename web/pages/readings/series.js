// The readings of one sensor in the order of time: bounded. No I/O.

export const QUALITIES = ["good", "uncertain", "bad"];
/** Readings that a sensor keeps. */
export const KEPT = 20_000;
const SLACK = 2000;
/** A sensor is silent after so many times its usual interval. */
const SILENT = 8;

export class Series {
  times = [];
  values = [];
  qualities = [];
  #kept;

  constructor(kept = KEPT) {
    this.#kept = kept;
  }

  get length() {
    return this.times.length;
  }

  /** Adds a reading at its place, unless it is there already. Returns whether it is the newest. */
  add(at, value, quality = "good") {
    const index = this.firstAfter(at);
    if (this.times[index - 1] === at && this.values[index - 1] === value) return false;
    const newest = index === this.times.length;
    this.#put(index, at, value, QUALITIES.indexOf(quality));
    if (this.times.length > this.#kept + SLACK) this.#trim();
    return newest;
  }

  /** The index of the first reading later than this time. */
  firstAfter(time) {
    const { times } = this;
    let [low, high] = [0, times.length];
    if (high === 0 || times[high - 1] <= time) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /**
   * Puts the readings from `from` to `to` into columns: `out` has two places for each, for the
   * lowest and the highest reading in their order, so that no peak is lost. It is undefined where
   * nothing is, and null where the sensor was silent, which breaks the line.
   */
  columns(from, to, count, out) {
    out.fill(undefined);
    const silence = Math.max(SILENT * this.#interval(from, to), (4 * (to - from)) / count);
    const width = (to - from) / count;
    const end = Math.min(this.times.length, this.firstAfter(to) + 1);
    let index = Math.max(0, this.firstAfter(from) - 1); // the line comes from the left
    let next = 0; // the place after the column before
    while (index < end) {
      const place = Math.floor((this.times[index] - from) / width);
      const column = Math.min(count - 1, Math.max(0, place));
      const limit = from + (column + 1) * width;
      const pause = index > 0 && this.times[index] - this.times[index - 1] > silence;
      if (pause) out.fill(null, next, 2 * column);
      next = 2 * column + 2;
      let [low, high] = [index, index];
      for (index += 1; index < end && this.times[index] < limit; index += 1) {
        if (this.values[index] < this.values[low]) low = index;
        if (this.values[index] > this.values[high]) high = index;
      }
      out[2 * column] = this.values[Math.min(low, high)];
      if (low !== high) out[2 * column + 1] = this.values[Math.max(low, high)];
    }
    return out;
  }

  /** Milliseconds between two readings of this range: the median of some. */
  #interval(from, to) {
    const [begin, end] = [this.firstAfter(from), this.firstAfter(to)];
    const step = Math.max(1, Math.floor((end - begin) / 64));
    const pauses = [];
    for (let index = begin + 1; index < end; index += step) {
      pauses.push(this.times[index] - this.times[index - 1]);
    }
    pauses.sort((one, other) => one - other);
    return pauses[pauses.length >> 1] ?? Infinity;
  }

  /** The lowest and the highest value between two times; null if there is none. */
  extremes(from, to) {
    let [low, high] = [Infinity, -Infinity];
    for (let index = this.firstAfter(from); index < this.firstAfter(to); index += 1) {
      low = Math.min(low, this.values[index]);
      high = Math.max(high, this.values[index]);
    }
    return low > high ? null : [low, high];
  }

  // Of history that a person goes back to, the oldest is what is looked at: the middle would be
  // missing. So the newest are kept, and more history is loaded when it is asked for.
  #trim() {
    const many = this.times.length - this.#kept;
    for (const list of [this.times, this.values, this.qualities]) list.splice(0, many);
  }

  #put(index, at, value, quality) {
    if (index === this.times.length) {
      this.times.push(at);
      this.values.push(value);
      this.qualities.push(quality);
      return;
    }
    this.times.splice(index, 0, at);
    this.values.splice(index, 0, value);
    this.qualities.splice(index, 0, quality);
  }
}
