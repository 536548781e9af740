// The newest version of each message: edits, deletions and reactions are events that refer to it
// (PROTOCOL.md, "Edits, deletions and reactions"). They may be known before their message, which is
// read from history later. No I/O.

import { reached } from "../../client/positions.js";

/** Events that wait for the message that they refer to. The oldest are forgotten first. */
const WAITING = 2_000;

/** One person, whether the name is proven (`by`) or only claimed. */
export const authorOf = ({ by, data }) => (by === undefined ? `as ${data?.sender}` : `by ${by}`);

export class Versions {
  #messages = new Map();
  #reactions = new Map();
  #waiting = new Map();

  /** Takes an event. Returns the id of the message that has changed, or null. */
  add(event) {
    const { id, refers, relation } = event;
    if (!relation) {
      if (!this.#messages.has(id)) this.#messages.set(id, newMessage(event));
      this.#takeWaiting(id);
      return id;
    }
    if (relation === "reaction") this.#reactions.set(id, event);
    const target = this.#reactions.get(refers)?.refers ?? refers;
    const message = this.#messages.get(target);
    if (!message) {
      this.#wait(refers, event);
      return null;
    }
    this.#apply(message, event);
    if (relation === "reaction") this.#takeWaiting(id);
    return target;
  }

  /**
   * What to show of a message: `text`, `edited` (when), `deleted`, and `reactions`: each with its
   * `text`, the `names` of those who reacted, and `mine`: the id of the reaction of author `me`.
   */
  view(id, me) {
    const { event, edit, deleted, reactions } = this.#messages.get(id);
    const found = new Map();
    for (const [reactionId, { data, ...rest }] of deleted ? [] : reactions) {
      const text = data?.text ?? "";
      const author = authorOf({ data, ...rest });
      const group = found.get(text) ?? { text, names: [], authors: new Set(), mine: null };
      if (author === me) group.mine ??= reactionId;
      if (!group.authors.has(author)) group.names.push(rest.by ?? data.sender);
      group.authors.add(author);
      found.set(text, group);
    }
    return {
      event,
      text: deleted ? null : (edit ?? event).data.text,
      edited: edit?.time ?? null,
      deleted,
      reactions: [...found.values()],
    };
  }

  has(id) {
    return this.#messages.has(id);
  }

  forget(id) {
    const message = this.#messages.get(id);
    for (const reaction of message?.reactions.keys() ?? []) this.#reactions.delete(reaction);
    this.#messages.delete(id);
  }

  #apply(message, event) {
    const { id, refers, relation } = event;
    if (relation === "reaction") message.reactions.set(id, event);
    else if (relation === "delete" && refers !== message.event.id) message.reactions.delete(refers);
    else if (relation === "delete") message.deleted = true;
    else if (!message.edit || reached(id, message.edit.id)) message.edit = event;
  }

  #wait(refers, event) {
    const events = this.#waiting.get(refers) ?? [];
    this.#waiting.set(refers, [...events, event].slice(-WAITING));
    if (this.#waiting.size > WAITING) this.#waiting.delete(this.#waiting.keys().next().value);
  }

  #takeWaiting(id) {
    const events = this.#waiting.get(id) ?? [];
    this.#waiting.delete(id);
    for (const event of events) this.add(event);
  }
}

const newMessage = (event) => ({ event, edit: null, deleted: false, reactions: new Map() });
