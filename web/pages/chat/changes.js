// What a person does to messages that are in the room: edit, delete, react.

export class Changes {
  #conversation;
  #composer;
  #log;
  #refer;

  /** `refer(id, relation, text)` publishes an event that refers to the event `id`. */
  constructor(conversation, composer, log, refer) {
    this.#conversation = conversation;
    this.#composer = composer;
    this.#log = log;
    this.#refer = refer;
  }

  begin(id) {
    const text = this.#conversation.text(id);
    if (text !== null) this.#composer.edit(id, text);
  }

  /** Begins to edit the person's newest message. */
  beginLast() {
    const row = this.#log.lastOwn();
    if (row) this.begin(row.dataset.id);
  }

  edit(id, text) {
    if (text !== this.#conversation.text(id)) this.#refer(id, "edit", text);
  }

  remove(id) {
    this.#refer(id, "delete", null);
  }

  /** Adds the person's reaction, or takes it back. */
  react(id, text) {
    const mine = this.#conversation.reaction(id, text);
    if (mine === null) this.#refer(id, "reaction", text);
    else this.#refer(mine, "delete", null);
  }
}
