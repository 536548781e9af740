// The part of time that the charts show: it moves with the clock, or stands where a person put it.
// No I/O.

const SHORTEST = 1000;
const LONGEST = 400 * 86_400_000;

export class Timeline {
  #span;
  #end = null;

  /** `span`: milliseconds that are shown. */
  constructor(span) {
    this.#span = span;
  }

  get live() {
    return this.#end === null;
  }

  get span() {
    return this.#span;
  }

  /** { from, to } in milliseconds. */
  at(now) {
    const to = this.#end ?? now;
    return { from: to - this.#span, to };
  }

  /** Shows the newest `span` milliseconds and moves on. */
  follow(span = this.#span) {
    this.#span = span;
    this.#end = null;
  }

  show(from, to) {
    this.#span = Math.min(LONGEST, Math.max(SHORTEST, to - from));
    this.#end = to;
  }

  /** Moves by a share of what is shown; not beyond now, where it is live again. */
  pan(share, now) {
    const end = this.at(now).to + share * this.#span;
    this.#end = end >= now ? null : end;
  }

  /** Shows `factor` times as much, around the middle or, if live, up to now. */
  zoom(factor, now, centre = 0.5) {
    const { from } = this.at(now);
    const span = Math.min(LONGEST, Math.max(SHORTEST, this.#span * factor));
    const middle = from + this.#span * centre;
    if (!this.live) this.#end = Math.min(now, middle + span * (1 - centre));
    this.#span = span;
  }
}
