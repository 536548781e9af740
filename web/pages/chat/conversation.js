// What is known of the room's messages, and their rows: each shows its newest version.

import { Versions, authorOf } from "./versions.js";
import { showVersion } from "./message-row.js";

export class Conversation {
  #versions = new Versions();
  #log;
  #me;

  /**
   * `me()`: { name, principal, moderates } of the person; the principal is null without a token,
   * `moderates` whether the person may change what others wrote.
   */
  constructor(log, me) {
    this.#log = log;
    this.#me = me;
  }

  /** Whether the person wrote it, as far as the server knows. */
  isOwn({ by, data }) {
    const { name, principal } = this.#me();
    return by === undefined || principal === null ? data.sender === name : by === principal;
  }

  /** Takes an event. Returns whether it is a message, which the log gets next. */
  take(event) {
    const changed = this.#versions.add(event);
    if (!event.relation) return true;
    if (changed !== null) this.show(changed);
    return false;
  }

  /** Shows the newest version of a message that is in the log. */
  show(id) {
    const row = this.#log.row(id);
    if (!row || !this.#versions.has(id)) return;
    const view = this.#versions.view(id, this.#author());
    const { name, moderates } = this.#me();
    showVersion(row, view, name, moderates || this.isOwn(view.event));
  }

  forget(id) {
    this.#versions.forget(id);
  }

  /** The text of a message, or null if it is deleted or not on the page. */
  text(id) {
    return this.#versions.has(id) ? this.#versions.view(id, this.#author()).text : null;
  }

  /** The id of the person's reaction with this text, or null. */
  reaction(id, text) {
    const { reactions } = this.#versions.view(id, this.#author());
    return reactions.find((each) => each.text === text)?.mine ?? null;
  }

  #author() {
    const { name, principal } = this.#me();
    return principal === null ? authorOf({ data: { sender: name } }) : authorOf({ by: principal });
  }
}
