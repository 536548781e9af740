// A socket and a clock for the client module. They do nothing until a test tells them to.

class FakeSocket {
  static all = [];

  constructor(url) {
    this.url = String(url);
    this.sent = [];
    this.closed = false;
    FakeSocket.all.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.closed = true;
  }

  /** The server sends these messages. */
  say(...messages) {
    for (const message of messages) this.onmessage?.({ data: JSON.stringify(message) });
  }

  hello(limits = {}) {
    this.say({
      type: "hello",
      session: "s",
      version: "0",
      limits: { message_bytes: 65536, subscriptions: 100, heartbeat: 25, ...limits },
    });
  }

  /** The connection is lost. */
  drop(code = 1006, reason = "") {
    this.onclose?.({ code, reason });
  }
}

class FakeClock {
  #time = 0;
  #next = 1;
  #timers = new Map();
  set = 0; // milliseconds that the clock on the wall has been moved by

  now() {
    return this.#time;
  }

  date() {
    return 1_800_000_000_000 + this.#time + this.set;
  }

  setTimeout(action, milliseconds) {
    this.#timers.set(this.#next, { due: this.#time + milliseconds, action });
    return this.#next++;
  }

  clearTimeout(timer) {
    this.#timers.delete(timer);
  }

  advance(seconds) {
    const end = this.#time + seconds * 1000;
    for (;;) {
      const [timer, first] = [...this.#timers].sort(([, a], [, b]) => a.due - b.due)[0] ?? [];
      if (!first || first.due > end) break;
      this.#timers.delete(timer);
      this.#time = first.due;
      first.action();
    }
    this.#time = end;
  }

  /** Time passes, and only then do the timers that are due fire: those of a throttled page. */
  late(seconds) {
    this.#time += seconds * 1000;
    for (const [timer, { due, action }] of [...this.#timers]) {
      if (due > this.#time || !this.#timers.delete(timer)) continue;
      action();
    }
  }
}

/**
 * A hub on fakes: {hub, clock, statuses, socket(), sockets, wake(), unplug(), online, unwatched,
 * handlers, log}. `log` records the calls of the handlers.
 */
async function start(options = {}) {
  const { EventHub } = await import("/static/client.js");
  FakeSocket.all = [];
  const kit = {
    clock: new FakeClock(),
    statuses: [],
    sockets: FakeSocket.all,
    log: [],
    online: true,
    unwatched: false,
  };
  kit.socket = () => FakeSocket.all.at(-1);
  const note = (name) => (value, more) => kit.log.push([name, value, more]);
  kit.handlers = {
    onSubscribed: ({ position }) => kit.log.push(["subscribed", position]),
    onEvent: ({ id }, { replay }) => kit.log.push(["event", id, replay]),
    onGap: ({ position, reason }) => kit.log.push(["gap", position, reason]),
    onSignal: ({ data }) => kit.log.push(["signal", data]),
    onReplayed: ({ count, resumed }) => kit.log.push(["replayed", count, resumed]),
    onJoin: note("join"),
    onLeave: note("leave"),
    onError: ({ code, passing }) => kit.log.push(["error", code, passing]),
  };
  kit.hub = new EventHub("ws://hub.test/v1/ws", {
    WebSocket: FakeSocket,
    clock: kit.clock,
    random: () => 0.5,
    online: () => kit.online,
    watch: (check, offline, suspend) => {
      kit.wake = check;
      kit.unplug = offline;
      kit.freeze = suspend;
      return () => (kit.unwatched = true);
    },
    onStatus: (status) => kit.statuses.push(status),
    ...options,
  });
  await kit.hub.signal("a.b", "so that its module is there"); // sent to nobody
  if (options.token) await import("/static/client/authentication.js"); // which the hub waits for
  if (options.token) await new Promise((later) => setTimeout(later));
  return kit;
}

/** Answers the newest subscribe of the channel. */
function accept(socket, channel, position, fields = {}) {
  const { ref } = socket.sent.findLast(
    (message) => message.type === "subscribe" && message.channel === channel,
  );
  socket.say({
    type: "subscribed",
    ref,
    channel,
    position,
    head: position,
    recovered: true,
    ...fields,
  });
}

/** Waits until the hub has sent a `subscribe` of the channel; the `count`th, if more than one. */
async function asked(socket, channel, count = 1) {
  const found = () =>
    socket.sent.filter((message) => message.type === "subscribe" && message.channel === channel);
  while (found().length < count) await new Promise((later) => setTimeout(later));
  return found().at(-1);
}

const event = (channel, id) => ({
  type: "event",
  channel,
  id,
  time: "2026-11-22T20:06:00.123Z",
  data: id,
});

/** The outcome of a promise: {value} or {code, message, details}. */
const outcome = (promise) =>
  promise.then(
    (value) => ({ value }),
    ({ code, message, details, id }) => ({ code, message, details, id }),
  );

/** Fails a test whose promise is never settled. */
function inTime(steps) {
  const late = (_, reject) =>
    setTimeout(() => reject(new Error("not settled after 30 seconds")), 30_000);
  return Promise.race([steps(), new Promise(late)]);
}

Object.assign(globalThis, { FakeClock, FakeSocket, inTime, start, accept, asked, event, outcome });
