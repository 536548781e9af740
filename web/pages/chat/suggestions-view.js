// The list of suggestions above the composer: a listbox that the text field controls.

import { suggestionsFor } from "./suggestions.js";

export class Suggestions {
  #field;
  #list;
  #names;
  #items = [];
  #length = 0;
  #chosen = 0;

  /** `names()`: those who may be mentioned. */
  constructor(field, list, names) {
    this.#field = field;
    this.#list = list;
    this.#names = names;
    field.addEventListener("input", () => this.#update());
    field.addEventListener("blur", () => this.#close());
    // The field keeps the focus.
    list.addEventListener("mousedown", (event) => {
      event.preventDefault();
      const option = event.target.closest("[role=option]");
      if (!option) return;
      this.#chosen = [...list.children].indexOf(option);
      this.#accept();
    });
  }

  /** Handles a key of the field. Returns whether it was for the list. */
  take(event) {
    if (!this.#items.length) return false;
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") this.#move(key === "ArrowDown" ? 1 : -1);
    else if (key === "Tab" || key === "Enter") this.#accept();
    else if (key === "Escape") this.#close();
    else return false;
    event.preventDefault();
    return true;
  }

  #update() {
    const before = this.#field.value.slice(0, this.#field.selectionStart);
    const { length, items } = suggestionsFor(before, this.#names());
    this.#length = length;
    this.#items = items;
    this.#chosen = 0;
    this.#draw();
  }

  #move(step) {
    this.#chosen = (this.#chosen + step + this.#items.length) % this.#items.length;
    this.#draw();
  }

  #accept() {
    const { writes } = this.#items[this.#chosen];
    const end = this.#field.selectionStart;
    this.#field.setRangeText(writes, end - this.#length, end, "end");
    this.#close();
    this.#field.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #close() {
    this.#items = [];
    this.#draw();
  }

  #draw() {
    this.#list.hidden = this.#items.length === 0;
    this.#list.replaceChildren(...this.#items.map(({ label }, at) => this.#option(label, at)));
    if (this.#list.hidden) this.#field.removeAttribute("aria-activedescendant");
    else this.#field.setAttribute("aria-activedescendant", `suggestion-${this.#chosen}`);
  }

  #option(label, at) {
    const option = document.createElement("li");
    option.id = `suggestion-${at}`;
    option.setAttribute("role", "option");
    option.setAttribute("aria-selected", String(at === this.#chosen));
    option.textContent = label;
    return option;
  }
}
