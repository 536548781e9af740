// Messages of this page that are not in the log yet, and which event of the channel is which of them. No I/O.
//
// An event can come before its `published` (then sender and text tell), after it (then the id tells), or without it, when the answer was
// lost with a connection. Each entry is claimed by one event at most, so that what was said once is shown once.

import { reached } from "../../client/subscription.js";

export class Outbox {
  #entries = [];

  /** `entry`: sender, text, key and whatever the page keeps with them. */
  add(entry) {
    entry.id = null;
    this.#entries.push(entry);
    return entry;
  }

  /** The entry that this event is, which then is no longer here; undefined for somebody else's. */
  claim({ id, data }) {
    const same = (entry) => entry.id === null && entry.sender === data.sender && entry.text === data.text;
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

  /** After a gap that ends at `position`, events up to there never come: takes out the entries stored as one of these and returns them. */
  release(position) {
    const comes = ({ id }) => id === null || (id !== position && reached(id, position));
    const gone = this.#entries.filter((entry) => !comes(entry));
    this.#entries = this.#entries.filter(comes);
    return gone;
  }
}
