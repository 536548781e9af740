// What the hooks of react.js show, without React: a store subscribes while somebody listens. Its
// snapshot is one value that is replaced, so that all who read it see the same.

import { Members } from "./members.js";

/** Milliseconds: what comes within this time is shown together. */
const PAUSE = 16;

class Store {
  #listeners = new Set();
  #stop = null;
  #timer = null;
  #release;

  /** `release()`: nobody listens any more. */
  constructor(snapshot, release) {
    this.snapshot = snapshot;
    this.#release = release;
  }

  /** For useSyncExternalStore. */
  subscribe = (listener) => {
    this.#listeners.add(listener);
    this.#stop ??= this.start();
    // Strict mode listens, stops and listens again: that is not worth a new subscription.
    return () => {
      this.#listeners.delete(listener);
      setTimeout(() => this.#end());
    };
  };

  read = () => this.snapshot;

  /** Replaces the snapshot soon, with what show() returns then, and tells everybody. */
  changed = () => {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.snapshot = this.show();
      for (const listener of this.#listeners) listener();
    }, PAUSE);
  };

  #end() {
    if (this.#listeners.size > 0 || this.#stop === null) return;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#stop();
    this.#stop = null;
    this.#release();
  }
}

/** Subscribes to a channel or a pattern. */
class ChannelStore extends Store {
  constructor(snapshot, release, hub, channel, options) {
    super(snapshot, release);
    this.hub = hub;
    this.channel = channel;
    this.options = { cursor: null, ...options }; // a list that is shown is read anew by each page
    this.error = null;
  }

  start() {
    const onError = (error) => {
      if (!error.passing) this.error = error;
      this.changed();
    };
    const options = { ...this.options, ...this.handlers(), onError };
    try {
      const subscription = this.hub.subscribe(this.channel, options);
      return () => this.hub.unsubscribe(subscription);
    } catch (error) {
      onError(error); // another filter than that of the other subscribers
      return () => {};
    }
  }
}

/** The newest events, gaps among them. */
export class EventsStore extends ChannelStore {
  static kind = "events";
  #items = [];
  #replayed = false;
  #limit;

  constructor(release, hub, channel, { limit = 100, ...options }) {
    super({ events: [], gaps: [], replayed: false, error: null }, release, hub, channel, options);
    this.#limit = limit;
  }

  start() {
    this.#items = []; // of an earlier time: they come again
    return super.start();
  }

  handlers() {
    return {
      onEvent: (event) => this.#add(event),
      onGap: (gap) => this.#add(gap),
      onReplayed: () => {
        this.#replayed = true;
        this.changed();
      },
    };
  }

  show() {
    const of = (type) => this.#items.filter((item) => item.type === type);
    const { error } = this;
    return { events: of("event"), gaps: of("gap"), replayed: this.#replayed, error };
  }

  #add(item) {
    this.#items.push(item);
    if (this.#items.length > this.#limit) this.#items.shift();
    this.changed();
  }
}

/** The newest event. */
export class LatestStore extends ChannelStore {
  static kind = "latest";
  #event = null;

  constructor(release, hub, channel, options) {
    super({ event: null, error: null }, release, hub, channel, { since: "-1", ...options });
  }

  handlers() {
    return {
      onEvent: (event) => {
        this.#event = event;
        this.changed();
      },
    };
  }

  show() {
    return { event: this.#event, error: this.error };
  }
}

/** The members. */
export class PresenceStore extends ChannelStore {
  static kind = "presence";
  #members = new Members();

  constructor(release, hub, channel, options) {
    const snapshot = { members: [], count: 0, error: null };
    super(snapshot, release, hub, channel, { ...options, presence: true });
  }

  handlers() {
    return this.#members.handlers(this.changed);
  }

  show() {
    const { list: members, count } = this.#members;
    return { members, count, error: this.error };
  }
}

/** The stores of a hub: those that want the same share one. */
const stores = new WeakMap();

export function storeOf(Class, hub, channel, options) {
  const ofHub = stores.get(hub) ?? new Map();
  stores.set(hub, ofHub);
  const key = JSON.stringify([Class.kind, channel, options]);
  const store = ofHub.get(key) ?? new Class(() => release(), hub, channel, options);
  const release = () => ofHub.get(key) === store && ofHub.delete(key);
  ofHub.set(key, store);
  return store;
}
