// What every subscriber has: its handlers, and the storage that keeps its cursor. No I/O.

const ignore = () => {};
const HANDLERS = {
  onSubscribed: ignore,
  onEvent: ignore,
  onGap: ignore,
  onSignal: ignore,
  onReplayed: ignore,
  onJoin: ignore,
  onLeave: ignore,
  onUpdate: ignore,
  onPresence: ignore,
  onFilterFailed: ({ channel, reason }) => console.warn(`the filter of ${channel}: ${reason}`),
  onError: (error) => console.error(error),
};

export class Subscriber {
  #on;
  #store;
  #handled = Promise.resolve();

  /** `options` as for EventHub.subscribe. `store(cursor)` keeps the cursor; there may be none. */
  constructor(channel, options, store) {
    const { since = "latest", presence = false, member, where, ...handlers } = options;
    this.channel = channel;
    this.begins = since;
    this.presence = presence;
    this.member = member;
    this.where = where;
    this.#store = store;
    this.#on = { ...HANDLERS, ...handlers };
  }

  fail(error) {
    this.#on.onError(error);
  }

  /** Calls a handler. One that throws ends neither the connection nor another subscriber. */
  tell(handler, ...values) {
    try {
      return this.#on[handler](...values);
    } catch (error) {
      this.#report(error);
    }
  }

  /**
   * Stores what `cursor()` returns when the handler of this message, and those of all before, are
   * done. After a handler that failed nothing is stored: the next page load begins before it.
   */
  keep(handler, cursor) {
    if (!this.#store) return;
    const done = Promise.resolve(handler).catch((error) => this.#report(error));
    this.#handled = Promise.all([this.#handled, done]).then(() => this.#store?.(cursor()));
  }

  #report(error) {
    this.#store = null;
    queueMicrotask(() => {
      throw error; // as every error that nobody catches
    });
  }
}
