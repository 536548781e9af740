// The lines that the page keeps, in the order of time: bounded, with their places on the page.
// No I/O.

/** Lines that are kept. */
export const KEPT = 20_000;
const SLACK = 1000;

export class Lines {
  #lines = [];
  #tops = [0];
  #dirty = 0; // the first line whose top is unknown
  #height;
  #kept;
  #removed = 0;

  /** `height(line)`: pixels of a line. */
  constructor(height, kept = KEPT) {
    this.#height = height;
    this.#kept = kept;
  }

  get length() {
    return this.#lines.length;
  }

  at(index) {
    return this.#lines[index];
  }

  /** Adds a line behind those of the same time or earlier. */
  add(line) {
    const index = this.#after(line.at);
    if (index === this.#lines.length) this.#lines.push(line);
    else this.#lines.splice(index, 0, line);
    this.#dirty = Math.min(this.#dirty, index);
    if (this.#lines.length > this.#kept + SLACK) this.#trim();
  }

  /** The pixels of the oldest lines that were removed since the last call. */
  takeRemoved() {
    const pixels = this.#removed;
    this.#removed = 0;
    return pixels;
  }

  clear() {
    this.#lines = [];
    this.#dirty = 0;
    this.#removed = 0;
  }

  /** The heights have changed. */
  measure() {
    this.#dirty = 0;
  }

  /** Pixels from the first line to this one. */
  top(index) {
    for (let each = this.#dirty; each < this.#lines.length; each += 1) {
      this.#tops[each + 1] = this.#tops[each] + this.#height(this.#lines[each]);
    }
    this.#dirty = this.#lines.length;
    this.#tops.length = this.#lines.length + 1;
    return this.#tops[index];
  }

  /** The line at this pixel, or the nearest one. */
  indexAt(pixel) {
    this.top(0);
    let [low, high] = [0, Math.max(0, this.#lines.length - 1)];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#tops[middle] <= pixel) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The index of an event; -1 if it is not kept. */
  find(channel, id) {
    return this.#lines.findLastIndex((line) => line.id === id && line.channel === channel);
  }

  #trim() {
    const many = this.#lines.length - this.#kept;
    this.#removed += this.top(many);
    this.#lines.splice(0, many);
    this.#dirty = 0;
  }

  // Nearly every line belongs at the end. The history of a second channel goes between.
  #after(time) {
    let [low, high] = [0, this.#lines.length];
    if (high === 0 || this.#lines[high - 1].at <= time) return high;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#lines[middle].at <= time) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
