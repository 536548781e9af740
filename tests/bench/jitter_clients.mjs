// Many clients of one kind whose connections are cut for a while, again and again, while messages
// are published. Prints what came, as JSON. After AnyCable's jitter test, in spirit.
//
// Arguments: kind, port, clients, messages; milliseconds between messages, of a cut, and without a
// message after which nothing more is expected.

import { request } from "node:http";
import { createRequire } from "node:module";

import { EventHub } from "../../web/client/eventhub.js";

const require = createRequire(import.meta.resolve("../conformance/package.json"));
const { WebSocket } = require("ws");
const [kind, port, ...numbers] = process.argv.slice(2);
const [clients, messages, pause, cut, quiet] = numbers.map(Number);
const ADDRESS = `127.0.0.1:${port}`;
const NOWHERE = "ws://127.0.0.1:9/";
/** Each client is cut once in this time, at a moment of its own. */
const PERIOD = 10_000;

const sleep = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** One client: what it got, and a network of its own that can be cut. */
class Client {
  static #names = new Map();

  /** Where it finds the server: the name says whose request it is. */
  name = `client-${Client.#names.size}.test:${port}`;
  overHttp = false;
  got = new Map();
  doubled = 0;
  disorder = 0;
  down = false;
  upAt = 0;
  sockets = new Set();
  replayed = [];
  #cut = new AbortController();

  constructor() {
    Client.#names.set(this.name, this);
  }

  /** In place of `fetch`, which nothing tells the client. */
  static fetch(url, options = {}) {
    return Client.#names.get(new URL(url).host).#fetch(url, options);
  }

  /** A WebSocket over this client's network. */
  get Socket() {
    const client = this;
    return class extends WebSocket {
      constructor(url, protocols, options) {
        super(client.down ? NOWHERE : url.replace(client.name, ADDRESS), protocols ?? [], options);
        client.sockets.add(this);
        this.on("open", () => (client.upAt = Date.now()));
        this.on("close", () => client.sockets.delete(this));
        this.on("error", () => {});
      }
    };
  }

  take({ number, at }) {
    const now = Date.now();
    lastAt = now;
    if (this.got.has(number)) this.doubled += 1;
    if (number < this.newest) this.disorder += 1;
    this.newest = Math.max(this.newest ?? 0, number);
    this.got.set(number, now - at);
    if (at < this.upAt) this.replayed.push(now - at);
  }

  async cut() {
    this.down = true;
    this.onCut?.();
    for (const socket of this.sockets) socket.terminate();
    this.#cut.abort();
    await sleep(cut);
    this.#cut = new AbortController();
    this.down = false;
    this.onHeal?.();
  }

  async #fetch(url, options) {
    const signals = [this.#cut.signal, options.signal].filter(Boolean);
    const signal = AbortSignal.any(signals);
    return realFetch(url.replace(this.name, ADDRESS), { ...options, signal });
  }
}

const realFetch = globalThis.fetch;
globalThis.fetch = Client.fetch;

/** For each kind: connects a client, and resolves when it is subscribed. */
const connect = {
  eventhub: (client) =>
    new Promise((resolve) => {
      const onStatus = ({ transport }) => (client.overHttp ||= transport === "sse");
      const hub = new EventHub(`http://${client.name}`, { WebSocket: client.Socket, onStatus });
      const onEvent = ({ data }) => client.take(data);
      hub.subscribe("bench.jitter", { onEvent, onSubscribed: resolve });
      client.close = () => hub.close();
    }),
  centrifugo: (client) =>
    new Promise((resolve) => {
      const { Centrifuge } = require("centrifuge");
      const url = `ws://${ADDRESS}/connection/websocket`;
      const centrifuge = new Centrifuge(url, { websocket: client.Socket });
      const subscription = centrifuge.newSubscription("jitter");
      subscription.on("publication", ({ data }) => client.take(data));
      subscription.on("subscribed", resolve);
      subscription.subscribe();
      centrifuge.connect();
      client.close = () => centrifuge.disconnect();
    }),
  "socket.io": (client) =>
    new Promise((resolve) => {
      const { io } = require("socket.io-client");
      const url = `http://${ADDRESS}`;
      const socket = io(url, { transports: ["websocket"], forceNew: true });
      socket.on("event", (data) => client.take(data));
      socket.on("connect", resolve);
      socket.io.on("open", () => (client.upAt = Date.now()));
      client.onCut = () => {
        socket.io.uri = "http://127.0.0.1:9";
        socket.io.engine.transport.ws?.terminate();
      };
      client.onHeal = () => (socket.io.uri = url);
      client.close = () => socket.disconnect();
    }),
  ws: (client) =>
    new Promise((resolve) => {
      let closed = false;
      const open = () => {
        const socket = new client.Socket(`ws://${ADDRESS}/`);
        socket.on("open", resolve);
        socket.on("message", (text) => client.take(JSON.parse(text)));
        socket.on("close", () => closed || setTimeout(open, 1000));
      };
      open();
      client.close = () => {
        closed = true;
        for (const socket of client.sockets) socket.terminate();
      };
    }),
};

const publish = {
  eventhub: (data) => post("/v1/channels/bench.jitter", data),
  centrifugo: (data) => post("/api/publish", { channel: "jitter", data }),
  "socket.io": (data) => post("/publish", data),
  ws: (data) => post("/publish", data),
};

/** Publishes on a connection of its own, until it is answered. The key makes that safe here. */
async function post(path, body) {
  const key = `jitter-${body.number}`;
  const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
  const options = { method: "POST", headers, agent: false };
  const once = () =>
    new Promise((resolve) => {
      const sent = request(`http://${ADDRESS}${path}`, options, (answer) => {
        answer.resume();
        answer.on("close", () => resolve(answer.statusCode < 300));
      });
      sent.on("error", () => resolve(false));
      sent.end(JSON.stringify(body));
    });
  while (!(await once())) await sleep(1000); // the machine may be too busy for a moment
}

const percentile = (sorted, share) => sorted[Math.ceil(sorted.length * share) - 1] ?? null;

let lastAt = Date.now();
const all = Array.from({ length: clients }, () => new Client());
for (let first = 0; first < clients; first += 100) {
  await Promise.all(all.slice(first, first + 100).map((client) => connect[kind](client)));
}
const timers = all.map((client, index) => {
  const first = (index / clients) * PERIOD;
  let timer = setTimeout(function again() {
    client.cut();
    timer = setTimeout(again, PERIOD);
  }, first);
  return () => clearTimeout(timer);
});
for (let number = 1; number <= messages; number += 1) {
  await publish[kind]({ number, at: Date.now() });
  await sleep(pause);
}
for (const stop of timers) stop();
const hasAll = () => all.every((client) => client.got.size === messages);
while (!hasAll() && Date.now() - lastAt < quiet) await sleep(100);
const replayed = all.flatMap((client) => client.replayed).sort((one, other) => one - other);
const sum = (value) => all.reduce((total, client) => total + value(client), 0);
const report = {
  over_http: sum((client) => client.overHttp),
  delivered: sum((client) => client.got.size) / (clients * messages),
  doubled: sum((client) => client.doubled),
  disorder: sum((client) => client.disorder),
  replayed: replayed.length,
  p50: percentile(replayed, 0.5),
  p99: percentile(replayed, 0.99),
};
process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit());
