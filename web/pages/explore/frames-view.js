// The list of raw frames, newest first. It is drawn while it can be seen, a few times a second.

import { copyText } from "../common/clipboard.js";
import { byId } from "../common/dom.js";
import { exactClock } from "../common/times.js";
import { LIMIT, linesOf } from "./frames.js";
import { showJson } from "./json-view.js";

/** Milliseconds between two drawings. */
const PAUSE = 250;
const WORDS = { sent: "sent", received: "received", note: "connection" };

export class FramesView {
  #frames;
  #drawn = 0;
  #timer = null;
  #visible = false;

  /** `say(text)`: tells what was done. */
  constructor(frames, say) {
    this.#frames = frames;
    byId("frames-clear").addEventListener("click", () => this.#clear());
    byId("frames-copy").addEventListener("click", async () => {
      const copied = await copyText(linesOf(frames.all));
      say(copied ? "Frames copied" : "The browser does not allow copying here");
    });
  }

  set visible(visible) {
    this.#visible = visible;
    if (visible) this.#draw();
  }

  changed() {
    if (this.#visible) this.#timer ??= setTimeout(() => this.#draw(), PAUSE);
  }

  #draw() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const { all, total } = this.#frames;
    const list = byId("frames");
    const fresh = all.filter(({ number }) => number > this.#drawn).slice(-LIMIT);
    list.prepend(...fresh.map(item).reverse());
    while (list.childElementCount > LIMIT) list.lastElementChild.remove();
    this.#drawn = total;
    const many = `${total.toLocaleString("en")} frame${total === 1 ? "" : "s"}`;
    byId("frames-count").textContent = total > LIMIT ? `${many} · newest ${LIMIT} kept` : many;
  }

  #clear() {
    this.#frames.clear();
    byId("frames").replaceChildren();
  }
}

function item({ at, direction, text, size }) {
  const made = document.createElement("li");
  const head = document.createElement("p");
  const body = document.createElement("pre");
  made.className = direction;
  const parts = [WORDS[direction], exactClock(at), direction === "note" ? "" : `${size} characters`];
  head.textContent = parts.filter(Boolean).join(" · ");
  if (direction === "note") body.textContent = text;
  else showJson(body, text);
  made.append(head, body);
  return made;
}
