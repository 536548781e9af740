// The panel with all fields of one line: copy, link, and filters made from its values.

import { copyText } from "../common/clipboard.js";
import { byId, clone } from "../common/dom.js";
import { detailsOf } from "./line.js";
import { equals } from "./where.js";

export class Details {
  #panel = byId("details");
  #line = null;
  #on;

  /** `on`: filter(expression), only(channel), linkTo(line), close(), and say(text). */
  constructor(on) {
    this.#on = on;
    byId("details-close").addEventListener("click", () => this.close());
    byId("details-copy").addEventListener("click", () => this.copy());
    byId("details-link").addEventListener("click", () => this.#copyLink());
    this.#panel.addEventListener("keydown", (event) => event.key === "Escape" && this.close());
  }

  get open() {
    return !this.#panel.hidden;
  }

  show(line) {
    this.#line = line;
    byId("details-title").textContent = line.message.slice(0, 300);
    byId("details-level").textContent = line.level;
    byId("details-level").dataset.level = line.level;
    byId("details-fields").replaceChildren(...detailsOf(line).map((each) => this.#field(each)));
    this.#panel.hidden = false;
  }

  close() {
    if (!this.open) return;
    this.#panel.hidden = true;
    this.#on.close();
  }

  /** Copies a line as JSON: the one that is shown, if none is given. */
  async copy(line = this.#line) {
    const copied = await copyText(JSON.stringify(line.event, null, 2));
    this.#on.say(copied ? "Copied as JSON" : "The browser does not allow copying here");
  }

  async #copyLink() {
    const copied = await copyText(this.#on.linkTo(this.#line));
    this.#on.say(copied ? "Link copied" : "The browser does not allow copying here");
  }

  #field([label, value, path]) {
    const row = clone("field");
    const shown = typeof value === "string" ? value : JSON.stringify(value, null, 1);
    row.querySelector("dt").textContent = label;
    row.querySelector("dd span").textContent = shown;
    const button = row.querySelector("button");
    const filter = this.#filterFor(label, value, path);
    button.hidden = !filter;
    button.setAttribute("aria-label", `Only this ${label}`);
    button.addEventListener("click", filter);
    return row;
  }

  #filterFor(label, value, path) {
    if (label === "channel") return () => this.#on.only(value);
    const simple = value === null || typeof value !== "object";
    const short = simple && String(value).length <= 200;
    return path && short ? () => this.#on.filter(equals(path, value)) : null;
  }
}
