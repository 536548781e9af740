// The page's title, with the number of messages that arrived while another tab was in front.

/** Milliseconds. Each change of the title makes the browser redraw its tabs. */
const INTERVAL = 200;

export class UnreadTitle {
  #title;
  #unread = 0;
  #timer = null;

  constructor(title) {
    this.#title = title;
    this.#show();
  }

  add() {
    this.#unread += 1;
    this.#timer ??= setTimeout(() => this.#show(), INTERVAL);
  }

  clear() {
    this.#unread = 0;
    this.#show();
  }

  #show() {
    clearTimeout(this.#timer);
    this.#timer = null;
    document.title = `${this.#unread ? `(${this.#unread}) ` : ""}${this.#title}`;
  }
}
