// The events of a channel for `for await`: a bounded queue between the subscription and the loop.

/** Items that wait. With more, the channel is unsubscribed until the loop has taken them. */
const BUFFER = 1000;

const OPTIONS = ["since", "where", "member", "presence", "cursor"];

/**
 * `subscribe(handlers, since)`: subscribes, and returns a function that unsubscribes and returns
 * where to go on. A TypeError for `options` that hub.events() does not have.
 */
export async function* eventsOf(subscribe, options) {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown) throw new TypeError(`unknown option ${unknown}; expected ${OPTIONS.join(", ")}`);
  const queue = new EventQueue(subscribe);
  try {
    for (;;) yield await queue.next();
  } finally {
    queue.close();
  }
}

class EventQueue {
  #subscribe;
  #items = [];
  #unsubscribe = null;
  #since = null;
  #error = null;
  #wake = null;
  #taken = null;

  constructor(subscribe) {
    this.#subscribe = subscribe;
  }

  /** The next `event` or `gap` message. Rejects with the error that ended the subscription. */
  async next() {
    this.#taken?.(); // its handling has ended
    if (this.#items.length === 0) this.#resume();
    while (this.#items.length === 0) {
      if (this.#error) throw this.#error;
      await new Promise((wake) => (this.#wake = wake));
    }
    const [item, taken] = this.#items.shift();
    this.#taken = taken;
    return item;
  }

  close() {
    this.#since = this.#unsubscribe?.() ?? this.#since;
    this.#unsubscribe = null;
  }

  #resume() {
    if (this.#unsubscribe || this.#error) return;
    const handlers = {
      onEvent: (event) => this.#add(event),
      onGap: (gap) => this.#add(gap),
      onError: (error) => this.#fail(error),
    };
    this.#unsubscribe = this.#subscribe(handlers, this.#since);
  }

  /** Returns a promise of the end of its handling. */
  #add(item) {
    return new Promise((taken) => {
      this.#items.push([item, taken]);
      if (this.#items.length >= BUFFER) this.close();
      this.#wake?.();
    });
  }

  #fail(error) {
    if (error.passing) return;
    this.#error = error;
    this.#unsubscribe = null;
    this.#wake?.();
  }
}
