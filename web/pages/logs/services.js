// The services (channels) that have lines: a colour each, how many, and which are shown.

import { COLOURS, colourOf } from "../common/colour.js";
import { clone } from "../common/dom.js";
import { shortName } from "../common/patterns.js";

/** Services that have a button. */
const SHOWN = 40;

export class Services {
  #root;
  #counts = new Map();
  #buttons = new Map();
  #selected;
  #onChange;

  /** `selected`: channels; none: all. `onChange(selected)`. */
  constructor(root, selected, onChange) {
    this.#root = root;
    this.#selected = new Set(selected);
    this.#onChange = onChange;
    for (const channel of this.#selected) this.count(channel, 0);
  }

  get selected() {
    return [...this.#selected];
  }

  /** One of eight colours, by the name: the same on every visit, unless another service has it. */
  hueOf = (channel) => {
    if (!this.#counts.has(channel)) this.count(channel, 0);
    return this.#counts.get(channel).hue;
  };

  count(channel, many = 1) {
    const known = this.#counts.get(channel);
    if (known) known.count += many;
    else this.#counts.set(channel, { count: many, hue: this.#colour(channel) });
  }

  /** The counts begin anew; colours stay. */
  reset() {
    for (const known of this.#counts.values()) known.count = 0;
  }

  only(channel) {
    this.#selected = new Set([channel]);
    this.draw();
    this.#onChange(this.selected);
  }

  draw() {
    for (const [channel, { count, hue }] of this.#counts) {
      const button = this.#button(channel, hue);
      if (!button) continue;
      button.setAttribute("aria-pressed", String(this.#selected.has(channel)));
      const text = count.toLocaleString("en");
      if (button.lastElementChild.textContent !== text) button.lastElementChild.textContent = text;
    }
    this.#root.hidden = this.#counts.size < 2 && this.#selected.size === 0;
  }

  #button(channel, hue) {
    const known = this.#buttons.get(channel);
    if (known || this.#buttons.size >= SHOWN) return known;
    const button = clone("service");
    button.dataset.hue = hue;
    button.querySelector(".name").textContent = shortName(channel);
    button.addEventListener("click", () => this.#toggle(channel));
    const next = [...this.#buttons.keys()].filter((each) => each > channel).sort()[0];
    this.#root.insertBefore(button, this.#buttons.get(next) ?? null);
    this.#buttons.set(channel, button);
    return button;
  }

  #colour(channel) {
    const taken = new Set([...this.#counts.values()].map(({ hue }) => hue));
    let hue = colourOf(channel);
    if (taken.size < COLOURS) while (taken.has(String(hue))) hue = (hue + 1) % COLOURS;
    return String(hue);
  }

  #toggle(channel) {
    if (!this.#selected.delete(channel)) this.#selected.add(channel);
    this.draw();
    this.#onChange(this.selected);
  }
}
