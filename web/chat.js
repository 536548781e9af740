// The chat page: one room is one channel. This module puts the parts together; each part has a file of its own.

import { AWAKE, Absence } from "./chat-absence.js";
import { describeGap } from "./chat-gaps.js";
import { ChatLog } from "./chat-log.js";
import { changedName, knownName } from "./chat-name.js";
import { Outbox } from "./chat-outbox.js";
import { People } from "./chat-people.js";
import { EventHub } from "./eventhub.js";
import { StatusView } from "./status.js";

const HISTORY = "-100";

const byId = (id) => document.getElementById(id);
const room = new URLSearchParams(location.search).get("room") || "lobby";
const channel = `chat.${room}`;
const text = byId("text");
const log = new ChatLog();
const people = new People();
const outbox = new Outbox();
const absence = new Absence();
const status = new StatusView(byId("status"), () => (status.refused ? subscribe(subscription.cursor ?? HISTORY) : hub.connect()));
let hub;
let name;
let subscription;
let arrived = false;
let unseen = 0;

function subscribe(since) {
  const handlers = { onSubscribed, onEvent, onGap, onReplayed, onJoin, onLeave, onPresence, onError };
  subscription = hub.subscribe(channel, { since, presence: true, member: name, ...handlers });
}

function onSubscribed(presence) {
  byId("problem").hidden = true;
  status.refuse(null);
  onPresence(presence);
}

const onJoin = (member) => people.join(member);
const onLeave = (member) => people.leave(member);
const onPresence = ({ count, members }) => people.reset(members ?? [], name, count);

function onEvent(event, { replay }) {
  const entry = outbox.claim(event);
  if (entry) return settle(entry, event);
  const own = event.data.sender === name;
  returned(absence.awake(Date.now()));
  if (!own && absence.missed()) log.away(event.time);
  log.add(event, own);
  if (!replay && document.hidden) title((unseen += 1));
}

function settle(entry, { time, data }) {
  entry.settled = true;
  log.settle(entry.row, { time, data });
}

function onGap(gap) {
  for (const entry of outbox.release(gap.position)) settle(entry, { time: entry.time, data: entry });
  log.notice(describeGap(gap));
}

function onReplayed() {
  arrived = true;
  if (document.hidden) absence.begin("hidden");
  log.ready();
  returned(absence.end("network"));
}

function returned(missed) {
  if (missed) log.missed(missed);
}

function onStatus(connection) {
  if (arrived && connection.state !== "open") absence.begin("network");
  log.connected(connection.state === "open");
  status.show(connection);
}

function onError(error) {
  byId("problem").textContent = error.message;
  byId("problem").hidden = false;
  status.refuse(error);
}

function title(count) {
  document.title = `${count ? `(${count}) ` : ""}#${room} · EventHub`;
}

async function send(entry) {
  try {
    const { id, time } = await hub.publish(channel, { sender: entry.sender, text: entry.text }, { key: entry.key });
    entry.time = time;
    outbox.acknowledge(entry, id);
    log.acknowledge(entry.row, time);
  } catch (error) {
    // The answer was lost for good, but the event itself has come: it is stored.
    if (entry.settled) return;
    const faults = error.details.map(({ pointer, message }) => `${pointer.slice(1) || "message"}: ${message}`);
    log.fail(entry.row, faults.join("; ") || error.message);
  }
}

function compose() {
  const said = text.value.trim();
  if (!said) return;
  const entry = outbox.add({ sender: name, text: said, key: hub.newKey() });
  entry.row = log.addPending(entry);
  entry.row.querySelector(".retry").addEventListener("click", () => {
    log.retry(entry.row);
    text.focus();
    send(entry);
  });
  entry.row.querySelector(".edit").addEventListener("click", () => {
    outbox.remove(entry);
    entry.row.remove();
    text.value = [entry.text, text.value].filter(Boolean).join("\n");
    text.focus();
  });
  text.value = "";
  text.focus();
  send(entry);
}

async function rename() {
  const before = name;
  name = await changedName(before);
  byId("my-name").textContent = name;
  text.focus();
  if (name === before) return;
  hub.unsubscribe(channel);
  subscribe(subscription.cursor ?? HISTORY);
}

byId("room").textContent = room;
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  compose();
});
text.addEventListener("keydown", (event) => {
  // While a word is being composed (Japanese, Chinese, Korean), Enter accepts the word.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  compose();
});
byId("me").addEventListener("click", rename);
document.addEventListener("visibilitychange", () => {
  // What comes before the history has arrived is the history.
  if (document.hidden) return arrived && absence.begin("hidden");
  title((unseen = 0));
  returned(absence.awake(Date.now()));
  returned(absence.end("hidden"));
});
setInterval(() => returned(absence.awake(Date.now())), AWAKE);

title(0);
name = await knownName();
byId("my-name").textContent = name;
hub = new EventHub(new URL("/v1/ws", location.href.replace(/^http/, "ws")), { onStatus });
subscribe(HISTORY);
text.focus();
