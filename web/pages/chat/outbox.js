// This page's messages that are not in the log yet, and which event each of them became. No I/O.
//
// A message's event may arrive before the `published` answer: sender and text identify it. It may
// arrive after the answer: the id identifies it. Or the answer was lost with the connection. Each
// event claims at most one entry, so that every message is shown once.

import { reached } from "../../client/positions.js";

export class Outbox {
  #entries = [];

  /** `entry`: sender, text, key, and anything the page keeps with them. Returns it. */
  add(entry) {
    entry.id = null;
    this.#entries.push(entry);
    return entry;
  }

  /** Removes and returns the entry of this event; undefined for another person's event. */
  claim({ id, data }) {
    const same = (entry) =>
      entry.id === null && entry.sender === data.sender && entry.text === data.text;
    const found = this.#entries.find((entry) => entry.id === id) ?? this.#entries.find(same);
    if (found) this.remove(found);
    return found;
  }

  /** The server stored `entry` as the event `id`. */
  acknowledge(entry, id) {
    entry.id = id;
  }

  remove(entry) {
    this.#entries = this.#entries.filter((each) => each !== entry);
  }

  /** Removes and returns the entries whose events a gap up to `position` has swallowed. */
  release(position) {
    const outstanding = ({ id }) => id === null || (id !== position && reached(id, position));
    const released = this.#entries.filter((entry) => !outstanding(entry));
    this.#entries = this.#entries.filter(outstanding);
    return released;
  }
}
