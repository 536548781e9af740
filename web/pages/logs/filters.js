// The controls above the lines: levels, text, expression, time range, wrapping.

import { byId } from "../common/dom.js";
import { localTime } from "../common/time-range.js";
import { USUAL, queryOf } from "./view.js";
import { LEVELS } from "./where.js";

/** Milliseconds after the last key before a text is searched for. */
const TYPING = 400;

export class Filters {
  #levels;
  #onChange;
  #onWrap;
  #timer = null;

  /** `view`: what is shown first. `onChange(changes)`: of the view. `onWrap(wrap)`. */
  constructor(view, onChange, onWrap) {
    this.#levels = new Set(view.levels);
    this.#onChange = onChange;
    this.#onWrap = onWrap;
    byId("levels").append(...LEVELS.map((level) => this.#levelButton(level)));
    this.#showLevels();
    byId("text").value = view.text;
    byId("where").value = view.expression;
    this.#press(view.wrap);
    this.showRange(view.range);
    byId("text").addEventListener("input", () => this.#typed());
    byId("where").addEventListener("change", () => this.#apply());
    byId("range").addEventListener("change", () => this.#onRange());
    byId("wrap").addEventListener("click", () => this.toggleWrap());
    byId("live").addEventListener("click", () => this.setRange({ since: USUAL }));
    const range = view.range.from === undefined ? { since: USUAL } : view.range;
    this.#more(String(queryOf({ ...view, range, wrap: false, event: null })) !== "");
    byId("more").addEventListener("click", ({ target }) =>
      this.#more(target.getAttribute("aria-expanded") === "false"),
    );
    byId("filters").addEventListener("submit", (event) => this.#submit(event));
  }

  /** Adds an expression to the one that is there. */
  add(expression) {
    const { value } = byId("where");
    byId("where").value = value.trim() ? `${value.trim()} && ${expression}` : expression;
    this.#apply();
  }

  setRange(range) {
    this.showRange(range);
    this.#onChange({ range });
  }

  showRange({ since, from, to }) {
    const select = byId("range");
    const fixed = from !== undefined;
    const known = [...select.options].some(({ value }) => value === since);
    if (!fixed && !known) select.prepend(new Option(`Last ${since.replace("-", "")}`, since));
    select.value = fixed ? "fixed" : since;
    byId("fixed").hidden = !fixed;
    if (!fixed) return;
    byId("from").value = localTime(from);
    byId("to").value = localTime(to);
  }

  /** Says what is wrong with the lines that are shown; "": nothing. */
  warn(text) {
    byId("said").textContent = text;
    byId("warning").textContent = text;
    byId("warning").hidden = !text;
  }

  toggleWrap() {
    const wrap = byId("wrap").getAttribute("aria-pressed") !== "true";
    this.#press(wrap);
    this.#onWrap(wrap);
  }

  // On a narrow screen the filters are folded, unless one is set.
  #more(open) {
    byId("more").setAttribute("aria-expanded", String(open));
  }

  #press(wrap) {
    byId("wrap").setAttribute("aria-pressed", String(wrap));
  }

  #levelButton(level) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = level;
    button.dataset.level = level;
    button.addEventListener("click", () => {
      if (!this.#levels.delete(level)) this.#levels.add(level);
      if (this.#levels.size === 0) this.#levels = new Set(LEVELS);
      this.#showLevels();
      this.#apply();
    });
    return button;
  }

  #showLevels() {
    for (const button of byId("levels").children) {
      button.setAttribute("aria-pressed", String(this.#levels.has(button.dataset.level)));
    }
  }

  #typed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#apply(), TYPING);
  }

  #onRange() {
    const { value } = byId("range");
    if (value !== "fixed") return this.setRange({ since: value });
    const now = Date.now();
    this.showRange({ from: now - 3_600_000, to: now });
    byId("from").focus();
  }

  #submit(event) {
    event.preventDefault();
    const [from, to] = ["from", "to"].map((id) => Date.parse(byId(id).value));
    const fixed = byId("range").value === "fixed";
    if (fixed && !(from < to)) return this.warn("The time range ends before it begins.");
    if (fixed) this.#onChange({ range: { from, to: to + 999 }, ...this.#values() });
    else this.#apply();
  }

  #apply() {
    clearTimeout(this.#timer);
    this.#onChange(this.#values());
  }

  #values() {
    const levels = LEVELS.filter((level) => this.#levels.has(level));
    return { levels, text: byId("text").value, expression: byId("where").value };
  }
}
