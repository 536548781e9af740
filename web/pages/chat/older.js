// Reads what is older than the page's messages, one part at a time. No I/O of its own: `read(query)`
// resolves with a page of history (PROTOCOL.md, "Reading a page"), as JSON.

import { reached } from "../../client/positions.js";

const PART = 100;
const PAGE = 1_000;
const MOST_PAGES = 5;

export class Older {
  #read;
  #oldest = null;
  #held = 0;
  #reading = null;
  /** Everything that the server keeps is on the page. */
  done = false;

  constructor(read) {
    this.#read = read;
  }

  /** How many events of the newest ones it knows. */
  get held() {
    return this.#held;
  }

  /** A live event, or one of the first history, of any kind. */
  hold({ id }) {
    this.#oldest ??= id;
    this.#held += 1;
  }

  /** The log was reset: nothing older belongs to it. */
  forget() {
    this.#oldest = null;
    this.#held = 0;
    this.done = true;
  }

  /** Resolves with the events before the oldest one, oldest first; none at the beginning. */
  load() {
    if (this.done || this.#oldest === null) return Promise.resolve([]);
    this.#reading ??= this.#load().finally(() => (this.#reading = null));
    return this.#reading;
  }

  async #load() {
    for (let asked = this.#held + PART; ; asked *= 2) {
      const { events, whole } = await this.#before(`-${asked}`);
      if (events.length || whole) {
        this.#held += events.length;
        this.#oldest = events[0]?.id ?? this.#oldest;
        this.done = whole;
        return events;
      }
    }
  }

  /** Events up to the oldest one. `whole`: the page began at the beginning of the log. */
  async #before(since) {
    const events = [];
    let first = null;
    for (let at = since, pages = 0; pages < MOST_PAGES; pages += 1) {
      const page = await this.#read({ since: at, limit: PAGE });
      first ??= page.events[0]?.id ?? null;
      for (const event of page.events) {
        if (reached(event.id, this.#oldest)) return { events, whole: await this.#isFirst(first) };
        events.push(event);
      }
      if (page.position === page.head) break;
      at = page.position;
    }
    this.done = true; // the log is another one, or this page is too far behind its end
    return { events: [], whole: true };
  }

  async #isFirst(id) {
    const { events } = await this.#read({ since: "earliest", limit: 1 });
    return events[0]?.id === id;
  }
}
