// What a person does with a message: react, edit, delete. By mouse on its buttons, or by key on the
// message that has the focus: arrows move, r reacts, e edits, Delete deletes.

import { byId } from "../common/dom.js";
import { USUAL } from "./emoji.js";

export class MessageActions {
  #scroller = byId("scroller");
  #log = byId("log");
  #palette = byId("palette");
  #changes;
  #leave;
  #row = null;

  /** `changes`: see changes.js. `leave()` is called for Escape. */
  constructor(changes, leave) {
    this.#changes = changes;
    this.#leave = leave;
    this.#log.addEventListener("click", (event) => this.#onClick(event.target));
    this.#scroller.addEventListener("keydown", (event) => this.#onKey(event));
    this.#palette.append(...USUAL.map((text) => this.#choice(text)));
    this.#palette.addEventListener("keydown", (event) => this.#onPaletteKey(event));
    this.#palette.addEventListener("close", () => this.#row?.focus());
    byId("delete-dialog").addEventListener("close", (event) => {
      if (event.target.returnValue === "delete") this.#changes.remove(this.#row.dataset.id);
      this.#row?.focus();
    });
  }

  /** Moves the focus to the newest message. */
  focusLast() {
    this.#messages().at(-1)?.focus();
  }

  #messages() {
    return [...this.#log.querySelectorAll(":scope > .message")];
  }

  #onClick(target) {
    const button = target.closest("button");
    const row = target.closest(".message");
    if (!button || !row?.dataset.id) return;
    if (button.dataset.action) this.#act(button.dataset.action, row);
    else if (button.dataset.text) this.#changes.react(row.dataset.id, button.dataset.text);
  }

  #act(action, row) {
    this.#row = row;
    const { id } = row.dataset;
    if (action === "react" && !row.classList.contains("deleted")) this.#palette.showModal();
    if (!row.classList.contains("changeable")) return;
    if (action === "edit") this.#changes.begin(id);
    if (action === "delete") {
      byId("delete-dialog").returnValue = "";
      byId("delete-dialog").showModal();
    }
  }

  #onKey(event) {
    const { key, target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = target.closest(".message");
    if (key === "ArrowUp" || key === "ArrowDown") return this.#move(event, row);
    if (key === "Escape") return this.#leave();
    if (!row || target !== row || !row.dataset.id) return;
    const action = { r: "react", e: "edit", Delete: "delete", Backspace: "delete" }[key];
    if (!action) return;
    event.preventDefault();
    this.#act(action, row);
  }

  #move(event, row) {
    const messages = this.#messages();
    const at = row ? messages.indexOf(row) : messages.length;
    const next = messages[at + (event.key === "ArrowUp" ? -1 : 1)];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.scrollIntoView({ block: "nearest" });
  }

  #onPaletteKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const buttons = [...this.#palette.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement);
    buttons[(at + step + buttons.length) % buttons.length].focus();
  }

  #choice(text) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = text;
    button.addEventListener("click", () => {
      this.#palette.close();
      this.#changes.react(this.#row.dataset.id, text);
    });
    return button;
  }
}
