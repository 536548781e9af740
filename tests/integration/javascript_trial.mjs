// The JavaScript client at work in Node: publishers, and followers of each kind. It tells what was
// acknowledged and what came as lines of JSON, and takes commands as lines: "soon" (the next token
// ends soon), "jump MILLISECONDS" (of the clock), "end" (publish no more).
//
// Arguments: URL, secret, directory of a cursor, or none.

import { createHmac } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

import { EventHub } from "../../web/client/eventhub.js";

const { WebSocket } = createRequire(import.meta.resolve("../conformance/package.json"))("ws");
const [url, secret, directory] = process.argv.slice(2);
const realNow = Date.now;
let soon = false;
let ended = false;

const say = (...values) => process.stdout.write(`${JSON.stringify(values)}\n`);

function token() {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(realNow() / 1000) + (soon ? 15 : 3600);
  soon = false;
  const channels = { subscribe: [">"], publish: [">"] };
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: "ana", exp, channels })}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

/** A storage in a file, which is replaced as a whole: a kill leaves the old one or the new one. */
function storageIn(file) {
  const all = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
  return {
    getItem: async (key) => all[key] ?? null,
    setItem(key, value) {
      all[key] = value;
      writeFileSync(`${file}.next`, JSON.stringify(all));
      renameSync(`${file}.next`, file);
    },
  };
}

const options = { WebSocket, token: async () => token(), backoff: { base: 0.1, cap: 1 } };
const timing = { connect: 5_000, ping: 1_000, pong: 1_000 };
const newHub = (more) => new EventHub(url, { ...options, timing, ...more });

function handlers(name) {
  return {
    onEvent: ({ channel, data }) => say("event", name, channel, data),
    onGap: (gap) => say("gap", name, gap.channel, gap.reason),
    onError: (error) => error.passing || say("error", name, error.code, error.message),
  };
}

async function loop(hub, channel) {
  for await (const item of hub.events(channel, { since: "earliest" })) {
    say(item.type, "loops", item.channel, item.data ?? item.reason);
  }
}

async function publishTo(hub, name, channels) {
  for (let number = 0; !ended; number += 1) {
    const channel = channels[number % channels.length];
    const data = `${name} ${number}`;
    await hub.publish(channel, data);
    say("stored", channel, data);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const commands = {
  soon: () => (soon = true),
  jump: (milliseconds) => (Date.now = () => realNow() + Number(milliseconds)),
  end: () => (ended = true),
};
createInterface({ input: process.stdin }).on("line", (line) => {
  const [name, ...values] = line.split(" ");
  commands[name](...values);
});

if (directory) {
  const hub = newHub({ storage: storageIn(`${directory}/cursors.json`) });
  hub.subscribe("orders.eu", { since: "earliest", ...handlers("worker") });
  hub.subscribe("orders.us", { since: "earliest", ...handlers("worker") });
} else {
  const names = newHub();
  const pattern = newHub();
  const loops = newHub();
  for (const channel of ["orders.eu", "orders.us"]) {
    names.subscribe(channel, { since: "earliest", ...handlers("names") });
    loop(loops, channel);
  }
  pattern.subscribe("orders.>", { since: "earliest", ...handlers("pattern") });
  const both = publishTo(names, "one", ["orders.eu", "orders.us"]);
  Promise.all([both, publishTo(loops, "two", ["orders.eu"])]).then(() => say("over"));
}
