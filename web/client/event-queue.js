// The events of a channel for `for await`: a bounded queue between the subscription and the loop.

/** Items that wait. With more, the channel is unsubscribed until the loop has taken them. */
const BUFFER = 1000;

/** `subscribe(handlers, since)`: subscribes, and returns a function that unsubscribes. */
export async function* eventsOf(subscribe) {
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
  #cursor = null;
  #error = null;
  #wake = null;

  constructor(subscribe) {
    this.#subscribe = subscribe;
  }

  /** The next `event` or `gap` message. Rejects with the error that ended the subscription. */
  async next() {
    if (this.#items.length === 0) this.#resume();
    while (this.#items.length === 0) {
      if (this.#error) throw this.#error;
      await new Promise((wake) => (this.#wake = wake));
    }
    return this.#items.shift();
  }

  close() {
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  #resume() {
    if (this.#unsubscribe || this.#error) return;
    const handlers = {
      onSubscribed: ({ position }) => (this.#cursor ??= position),
      onEvent: (event) => this.#add(event, event.id),
      onGap: (gap) => this.#add(gap, gap.position),
      onError: (error) => this.#fail(error),
    };
    this.#unsubscribe = this.#subscribe(handlers, this.#cursor && { since: this.#cursor });
  }

  #add(item, position) {
    this.#items.push(item);
    this.#cursor = position;
    if (this.#items.length >= BUFFER) this.close();
    this.#wake?.();
  }

  #fail(error) {
    if (error.passing) return;
    this.#error = error;
    this.#unsubscribe = null;
    this.#wake?.();
  }
}
