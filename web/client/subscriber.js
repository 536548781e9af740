// What every subscriber has: its handlers, and who keeps its cursor. No I/O.

const HANDLERS = {
  onFilterFailed: ({ channel, reason }) => console.warn(`the filter of ${channel}: ${reason}`),
  onError: (error) => console.error(error),
};

export class Subscriber {
  #on;
  #keeper;

  /** `options` as for EventHub.subscribe, and maybe a `keeper` (cursors.js). */
  constructor(channel, options) {
    const { since = "latest", presence = false, member, where, keeper, ...handlers } = options;
    this.channel = channel;
    this.begins = since;
    this.presence = presence;
    this.member = member;
    this.where = where;
    this.#keeper = keeper;
    this.#on = { ...HANDLERS, ...handlers };
  }

  fail(error) {
    this.tell("onError", error);
  }

  /** Calls a handler. One that throws ends neither the connection nor another subscriber. */
  tell(handler, ...values) {
    try {
      return this.#on[handler]?.(...values);
    } catch (error) {
      this.#keeper?.stop();
      queueMicrotask(() => {
        throw error; // as every error that nobody catches
      });
    }
  }

  /** Keeps what `cursor()` returns, when the handler is done. */
  keep(handler, cursor) {
    this.#keeper?.keep(handler, cursor);
  }
}
