// The field in which the person writes a message, or a new version of one.

import { byId } from "../common/dom.js";
import { withEmoji } from "./emoji.js";
import { Suggestions } from "./suggestions-view.js";

export class Composer {
  #text = byId("text");
  #editing = null;
  #on;
  #suggestions;

  /**
   * `on.send(text)` is called with each message, and returns whether it
   * took it. `on.edit(id, text)` is called with a new version. `on.change(text)`: while one is written. `on.last()`: the person
   * asks for the own last message. `on.leave()`: Escape, with nothing to cancel. `names()`: those
   * who may be mentioned.
   */
  constructor(on, names) {
    this.#on = on;
    this.#suggestions = new Suggestions(this.#text, byId("suggestions"), names);
    byId("composer").addEventListener("submit", (event) => this.#submit(event));
    byId("editing-cancel").addEventListener("click", () => this.cancel());
    this.#text.addEventListener("input", () => this.#changed());
    this.#text.addEventListener("keydown", (event) => this.#onKey(event));
  }

  focus() {
    this.#text.focus();
  }

  /** Puts a message back above what is being written. */
  restore(text) {
    this.#text.value = [text, this.#text.value].filter(Boolean).join("\n");
    this.#changed();
    this.focus();
  }

  /** What is being written, unless it is a new version. */
  get draft() {
    return this.#editing ? this.#editing.draft : this.#text.value;
  }

  /** The person changes the message `id`. What was being written comes back afterwards. */
  edit(id, text) {
    this.#editing = { id, draft: this.draft };
    this.#text.value = text;
    byId("editing").hidden = false;
    this.focus();
    this.#text.setSelectionRange(text.length, text.length);
  }

  cancel() {
    if (!this.#editing) return;
    this.#text.value = this.#editing.draft;
    this.#editing = null;
    byId("editing").hidden = true;
    this.focus();
  }

  #changed() {
    this.#on.change(this.draft);
  }

  #submit(event) {
    event.preventDefault();
    const text = withEmoji(this.#text.value.trim());
    if (!text) return;
    if (this.#editing) {
      this.#on.edit(this.#editing.id, text);
      return this.cancel();
    }
    if (!this.#on.send(text)) return;
    this.#text.value = "";
    this.#changed();
    this.focus();
  }

  #onKey(event) {
    // While a Japanese, Chinese or Korean word is composed, the keys are for the word.
    if (event.isComposing || this.#suggestions.take(event)) return;
    if (event.key === "Enter" && !event.shiftKey) return this.#submit(event);
    if (event.key === "Escape") return this.#editing ? this.cancel() : this.#on.leave();
    if (event.key !== "ArrowUp" || this.#text.value) return;
    event.preventDefault();
    this.#on.last();
  }
}
