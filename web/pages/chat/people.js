// The members beside the conversation, and the colour and initial of each name.

import { byId, clone } from "../common/dom.js";

const COLOURS = 8;

/** Writes a name into the .sender and .avatar of `row`. A name has the same colour everywhere. */
export function showName(row, name) {
  row.dataset.hue = String(colour(name));
  row.querySelector(".sender").textContent = name;
  row.querySelector(".avatar").textContent = ([...name.trim()][0] ?? "?").toUpperCase();
}

// FNV-1a; its high bits are mixed best.
function colour(name) {
  const mix = (hash, letter) => Math.imul(hash ^ letter.codePointAt(0), 16_777_619);
  return ([...name].reduce(mix, 2_166_136_261) >>> 24) % COLOURS;
}

export class People {
  #ids = new Set();
  #unnamed = 0; // members of a crowd are counted, not named
  #me = "";

  constructor() {
    const toggle = byId("people-toggle");
    toggle.addEventListener("click", () => {
      const open = byId("people").classList.toggle("open");
      toggle.setAttribute("aria-expanded", String(open));
    });
  }

  /** `count`: all members. `members`: their names, empty in a crowd. */
  reset(members, me, count) {
    this.#unnamed = count - members.length;
    this.#ids = new Set(members.map(({ id }) => id));
    this.#me = me;
    this.#draw();
  }

  /** The names that are shown. */
  get names() {
    return [...this.#ids];
  }

  join({ id }) {
    this.#ids.add(id);
    this.#draw();
  }

  leave({ id }) {
    this.#ids.delete(id);
    this.#draw();
  }

  #draw() {
    const mineFirst = (a, b) => (b === this.#me) - (a === this.#me) || a.localeCompare(b);
    const ids = [...this.#ids].sort(mineFirst);
    byId("members").replaceChildren(...ids.map((id) => this.#row(id)));
    byId("here").textContent = String(ids.length + this.#unnamed);
  }

  #row(id) {
    const row = clone("member");
    showName(row, id);
    row.querySelector(".you").hidden = id !== this.#me;
    return row;
  }
}
