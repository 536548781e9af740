// The rooms of this server, each with the number of messages that this browser has not shown.

import { byId, clone } from "../common/dom.js";
import { addressOf } from "../common/place.js";
import { recall, remember } from "./storage.js";

const PREFIX = "chat.";
const EVERY = 30_000;
const MOST = 20;
const readKey = (channel) => `eventhub.read.${channel}`;

/** The id of the newest message that this browser has shown, or "". */
export const readMark = (channel) => recall(readKey(channel));

export class Rooms {
  #http;
  #current;
  #mark = null;
  #saving = null;

  constructor(http, current) {
    this.#http = http;
    this.#current = current;
  }

  /** Shows the rooms, now and from time to time. */
  start() {
    this.update();
    setInterval(() => document.hidden || this.update(), EVERY);
  }

  /** The person has seen everything up to this id. */
  seen(id) {
    this.#mark = id;
    this.#saving ??= setTimeout(() => {
      this.#saving = null;
      remember(readKey(this.#current), this.#mark);
    }, 500);
  }

  async update() {
    try {
      const response = await this.#http.channels({ match: `${PREFIX}>`, limit: 200 });
      if (!response.ok) return this.#draw([]);
      const { channels } = await response.json();
      if (!channels.some(({ name }) => name === this.#current)) {
        channels.push({ name: this.#current, head: null, time: new Date() });
      }
      const newest = (each) => Date.parse(each.time) || 0;
      const shown = channels.sort((a, b) => newest(b) - newest(a)).slice(0, MOST);
      this.#draw(await Promise.all(shown.map((each) => this.#counted(each))));
    } catch {
      // Without a network the list stays as it is.
    }
  }

  async #counted({ name, head }) {
    const since = readMark(name);
    if (name === this.#current || !since || since === head) return { name, unread: "" };
    const response = await this.#http.count(name, { since, where: "relation == null" });
    if (!response.ok) return { name, unread: "" };
    const { count, text } = await response.json();
    return { name, unread: count ? text : "" };
  }

  #draw(rooms) {
    byId("rooms-part").hidden = rooms.length === 0;
    byId("rooms").replaceChildren(...rooms.map((room) => this.#row(room)));
  }

  #row({ name, unread }) {
    const row = clone("room-row");
    const link = row.querySelector("a");
    const room = name.slice(PREFIX.length);
    link.href = addressOf(`chat/${encodeURIComponent(room)}`);
    if (name === this.#current) link.setAttribute("aria-current", "page");
    row.querySelector("bdi").textContent = room;
    const badge = row.querySelector(".unread");
    badge.hidden = !unread;
    badge.textContent = unread;
    if (unread) badge.setAttribute("aria-label", `${unread} unread`);
    return row;
  }
}
