// The field in which the person writes a message.

import { byId } from "../common/dom.js";

export class Composer {
  #text = byId("text");

  /**
   * `onSend(text)` is called with each message; it returns whether it took it. `onChange(text)` is
   * called while one is written.
   */
  constructor(onSend, onChange) {
    const submit = (event) => {
      event.preventDefault();
      const text = this.#text.value.trim();
      if (!text || !onSend(text)) return;
      this.#text.value = "";
      this.focus();
    };
    byId("composer").addEventListener("submit", submit);
    this.#text.addEventListener("input", () => onChange(this.#text.value));
    this.#text.addEventListener("keydown", (event) => {
      // While a Japanese, Chinese or Korean word is composed, Enter accepts the word.
      const enter = event.key === "Enter" && !event.shiftKey && !event.isComposing;
      if (enter) submit(event);
    });
  }

  focus() {
    this.#text.focus();
  }

  /** Puts a message back above what is being written. */
  edit(text) {
    this.#text.value = [text, this.#text.value].filter(Boolean).join("\n");
    this.focus();
  }
}
