// Who is here: the list of members beside the conversation, and the colour and initial that go with a name.

const HUES = 8;
const byId = (id) => document.getElementById(id);

/** Writes a name into the .sender and .avatar of `row`, in a colour that is the same for this name everywhere. */
export function dress(row, name) {
  // FNV-1a; its high bits are the well mixed ones.
  const hash = [...name].reduce((sum, letter) => Math.imul(sum ^ letter.codePointAt(0), 16_777_619), 2_166_136_261);
  row.dataset.hue = String((hash >>> 24) % HUES);
  row.querySelector(".sender").textContent = name;
  row.querySelector(".avatar").textContent = ([...name.trim()][0] ?? "?").toUpperCase();
}

export class People {
  #ids = new Set();
  #others = 0; // members of a crowd, whose names are not told
  #me = "";

  constructor() {
    const toggle = byId("people-toggle");
    toggle.addEventListener("click", () => {
      const open = byId("people").classList.toggle("open");
      toggle.setAttribute("aria-expanded", String(open));
    });
  }

  /** `count` is how many there are, `members` who: none where they are too many. */
  reset(members, me, count) {
    this.#others = count - members.length;
    this.#ids = new Set(members.map(({ id }) => id));
    this.#me = me;
    this.#draw();
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
    const ids = [...this.#ids].sort((a, b) => (b === this.#me) - (a === this.#me) || a.localeCompare(b));
    byId("members").replaceChildren(...ids.map((id) => this.#row(id)));
    byId("here").textContent = String(ids.length + this.#others);
  }

  #row(id) {
    const row = byId("member").content.firstElementChild.cloneNode(true);
    dress(row, id);
    row.querySelector(".you").hidden = id !== this.#me;
    return row;
  }
}
