// Notifications of the system while the page is hidden, if the person has turned them on.

import { byId } from "../common/dom.js";
import { mentions } from "./text.js";
import { recall, remember } from "./storage.js";

const KEY = "eventhub.notify";

export class Notifications {
  #button = byId("notify");
  #room;

  constructor(room) {
    this.#room = room;
    this.#button.hidden = !("Notification" in globalThis);
    this.#button.addEventListener("click", () => this.#toggle());
    this.#draw();
  }

  /** Tells of a message. `me`: a mention of this name is said in the title. */
  tell({ sender, text }, me) {
    if (!this.#on) return;
    const title = mentions(text, me) ? `${sender} mentioned you in #${this.#room}` : sender;
    const tag = `eventhub.${this.#room}`; // a newer one replaces it
    const shown = new Notification(title, { body: text.slice(0, 200), tag });
    shown.onclick = () => {
      globalThis.focus();
      shown.close();
    };
  }

  get #on() {
    return recall(KEY) === "on" && globalThis.Notification?.permission === "granted";
  }

  async #toggle() {
    const granted = !this.#on && (await Notification.requestPermission()) === "granted";
    remember(KEY, granted ? "on" : "");
    this.#draw();
  }

  #draw() {
    this.#button.setAttribute("aria-pressed", String(this.#on));
    const blocked = globalThis.Notification?.permission === "denied";
    this.#button.textContent = blocked ? "Notifications are blocked" : "Notify me";
    this.#button.disabled = blocked;
  }
}
