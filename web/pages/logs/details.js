// The panel with all fields of one line: copy, link, and filters made from its values.

import { copyText } from "../common/clipboard.js";
import { byId, clone } from "../common/dom.js";
import { detailsOf } from "./line.js";
import { differs, equals } from "./where.js";

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
    const { only, without } = this.#filtersFor(label, value, path);
    offer(row.querySelector(".only"), `Only this ${label}`, only);
    offer(row.querySelector(".without"), `Not this ${label}`, without);
    return row;
  }

  /** What shows only the lines with this value, and what shows all others. */
  #filtersFor(label, value, path) {
    if (label === "channel") return { only: () => this.#on.only(value) };
    const simple = value === null || typeof value !== "object";
    if (!path || !simple || String(value).length > 200) return {};
    return {
      only: () => this.#on.filter(equals(path, value)),
      without: () => this.#on.filter(differs(path, value)),
    };
  }
}

function offer(button, name, action) {
  button.hidden = !action;
  button.setAttribute("aria-label", name);
  if (action) button.addEventListener("click", action);
}
