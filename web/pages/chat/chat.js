// The chat page: one room is one channel. This module puts the parts together; each part has a file of its own.

import { TOKEN_ERRORS } from "../../client/errors.js";
import { AWAKE, Absence } from "./absence.js";
import { describeGap } from "./gaps.js";
import { ChatLog } from "./message-log.js";
import { changedName, knownName, nameOr } from "./name.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { EventHub } from "../../client/eventhub.js";
import { StatusView } from "../shared/status.js";
import { Token } from "../shared/token.js";

const HISTORY = "-100";
const LONGEST_MEMBER = 64;
// Milliseconds. The browser redraws its tabs with each change of a title: not for each message of a flood.
const TITLING = 200;

const byId = (id) => document.getElementById(id);
const room = new URLSearchParams(location.search).get("room") || "lobby";
const channel = `chat.${room}`;
const text = byId("text");
const log = new ChatLog();
const people = new People();
const outbox = new Outbox();
const absence = new Absence();
const status = new StatusView(byId("status"), () => (status.refused ? subscribe() : hub.connect()));
const token = new Token(byId("token"), text, changeToken);
let hub;
let name = "";
let principal = null; // whom the server knows by the token: then that is who is seen in the room
let following = false;
let subscription;
let arrived = false;
let unseen = 0;
let titling = null;

function member() {
  if (principal === null) return name;
  return [...principal].length <= LONGEST_MEMBER ? principal : "";
}

function subscribe() {
  const handlers = { onSubscribed, onEvent, onGap, onReplayed, onJoin, onLeave, onPresence, onError };
  if (following) hub.unsubscribe(channel);
  following = true;
  subscription = hub.subscribe(channel, { since: subscription?.cursor ?? HISTORY, presence: true, member: member(), ...handlers });
}

function onSubscribed(presence) {
  byId("problem").hidden = true;
  if (status.refused) token.done();
  status.refuse(null);
  onPresence(presence);
}

const onJoin = (member) => people.join(member);
const onLeave = (member) => people.leave(member);
const onPresence = ({ count, members }) => people.reset(members ?? [], member(), count);

function onEvent(event, { replay }) {
  const entry = outbox.claim(event);
  if (entry) return settle(entry, event);
  const own = event.data.sender === name;
  returned(absence.awake(Date.now()));
  if (!own && absence.missed()) log.away(event.time);
  log.add(event, own);
  if (replay || !document.hidden) return;
  unseen += 1;
  titling ??= setTimeout(title, TITLING);
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
  if (TOKEN_ERRORS.has(connection.code)) token.ask(connection);
}

function onError(error) {
  following = error.passing;
  byId("problem").textContent = error.message;
  byId("problem").hidden = error.refusal;
  if (error.refusal) token.ask(error);
  status.refuse(error);
}

function onAuthenticated({ principal: proven }) {
  token.done();
  if (!name) called(nameOr(proven));
  const same = proven === principal;
  principal = proven;
  if (!following || !same) subscribe();
}

async function changeToken(value) {
  if (!hub) return;
  hub.setToken(value);
  if (value) return;
  principal = null;
  if (!name) called(await knownName());
  subscribe();
}

function called(mine) {
  name = mine;
  byId("my-name").textContent = name;
}

function title() {
  clearTimeout(titling);
  titling = null;
  document.title = `${unseen ? `(${unseen}) ` : ""}#${room} · EventHub`;
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
    if (error.refusal) token.ask(error);
    const faults = error.details.map(({ pointer, message }) => `${pointer.slice(1) || "message"}: ${message}`);
    log.fail(entry.row, faults.join("; ") || error.message);
  }
}

function compose() {
  const said = text.value.trim();
  if (!said || !name) return;
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
  const before = member();
  called(await changedName(name));
  text.focus();
  if (member() !== before) subscribe();
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
  unseen = 0;
  title();
  returned(absence.awake(Date.now()));
  returned(absence.end("hidden"));
});
setInterval(() => returned(absence.awake(Date.now())), AWAKE);

title();
// With a token one has a name already: that which the server knows one by.
called(token.value ? nameOr("") : await knownName());
const onExpiring = () => token.ask({ code: "expiring" });
hub = new EventHub(new URL("v1/ws", location.href.replace(/^http/, "ws")), { token: token.value, onStatus, onAuthenticated, onExpiring });
if (!token.value) subscribe();
text.focus();
