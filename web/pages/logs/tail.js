// Follows the newest lines, or holds them back while a person reads. No I/O.

/** Lines that wait while the page is held. */
const WAITING = 20_000;

export class Tail {
  #lines;
  #waiting = [];
  #dropped = 0;
  #held = false;
  #onChange;

  /** `lines`: a Lines. `onChange()`: something must be drawn. */
  constructor(lines, onChange) {
    this.#lines = lines;
    this.#onChange = onChange;
  }

  get held() {
    return this.#held;
  }

  /** How many lines came while the page was held. */
  get fresh() {
    return this.#waiting.length + this.#dropped;
  }

  add(line) {
    if (this.#held) this.#wait(line);
    else this.#lines.add(line);
    this.#onChange();
  }

  hold() {
    if (this.#held) return;
    this.#held = true;
    this.#onChange();
  }

  /** Shows what has come in the meantime. Of more than can wait, the newest. */
  release() {
    if (!this.#held) return;
    this.#held = false;
    const lines = this.#waiting.splice(0);
    if (this.#dropped) this.#lines.add(omission(this.#dropped, lines[0].at));
    this.#dropped = 0;
    for (const line of lines) this.#lines.add(line);
    this.#onChange();
  }

  clear() {
    this.#lines.clear();
    this.#waiting = [];
    this.#dropped = 0;
    this.#held = false;
    this.#onChange();
  }

  #wait(line) {
    this.#waiting.push(line);
    if (this.#waiting.length < WAITING + 1000) return;
    this.#dropped += this.#waiting.splice(0, 1000).length;
  }
}

function omission(count, at) {
  const number = count.toLocaleString("en");
  return { at, note: `${number} lines came while you read. Choose a time range to see them.` };
}
