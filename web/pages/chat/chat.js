// The chat page: one room is one channel. This module connects the parts; each part is a file.

import { TOKEN_ERRORS } from "../../client/errors.js";
import { EventHub } from "../../client/eventhub.js";
import { byId } from "../common/dom.js";
import { StatusView } from "../common/status.js";
import { Token } from "../common/token.js";
import { AWAKE_INTERVAL, Absence } from "./absence.js";
import { Composer } from "./composer.js";
import { describeGap } from "./gaps.js";
import { MessageLog } from "./message-log.js";
import { changedName, knownName, nameOr } from "./name.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { Typing, describeTyping } from "./typing.js";
import { UnreadTitle } from "./unread-title.js";

const HISTORY = "-100";
const MAX_MEMBER_LENGTH = 64;

const room = new URLSearchParams(location.search).get("room") || "lobby";
const channel = `chat.${room}`;
const title = new UnreadTitle(`#${room} · EventHub`);
const log = new MessageLog();
const people = new People();
const outbox = new Outbox();
const absence = new Absence();
const typing = new Typing(showTyping, sendTyping, {
  now: () => performance.now(),
  setTimeout: (action, delay) => setTimeout(action, delay),
});
const composer = new Composer(compose, (text) => typing.changed(text));
const status = new StatusView(byId("status"), onRetry);
const token = new Token(byId("token"), composer, onToken);
let hub;
let name = "";
let principal = null; // from the token: it is the member's name in the room
let subscription;
let subscribed = false;
let historyArrived = false;

function member() {
  if (principal === null) return name;
  return [...principal].length <= MAX_MEMBER_LENGTH ? principal : "";
}

function subscribe() {
  if (subscribed) hub.unsubscribe(channel);
  subscribed = true;
  subscription = hub.subscribe(channel, {
    since: subscription?.cursor ?? HISTORY,
    presence: true,
    member: member(),
    onSubscribed,
    onEvent,
    onGap,
    onSignal: ({ data }) => typing.heard(data, name),
    onReplayed,
    onJoin: (joined) => people.join(joined),
    onLeave: (left) => people.leave(left),
    onPresence: showPeople,
    onError,
  });
}

function showPeople({ count, members }) {
  people.reset(members ?? [], member(), count);
}

function onSubscribed(presence) {
  byId("problem").hidden = true;
  if (status.refused) token.done();
  status.refuse(null);
  showPeople(presence);
}

function showTyping(names) {
  byId("typing").textContent = describeTyping(names);
}

async function sendTyping() {
  if (name) await hub.signal(channel, { sender: name, typing: true });
}

function onEvent(event, { replay }) {
  typing.spoke(event.data.sender);
  const entry = outbox.claim(event);
  if (entry) return settle(entry, event);
  const own = event.data.sender === name;
  showMissed(absence.awake(Date.now()));
  if (!own && absence.missed()) log.away(event.time);
  log.add(event, own);
  if (!replay && document.hidden) title.add();
}

function settle(entry, { time, data }) {
  entry.settled = true;
  log.settle(entry.row, { time, data });
}

function onGap(gap) {
  for (const entry of outbox.release(gap.position)) {
    settle(entry, { time: entry.time, data: entry });
  }
  log.notice(describeGap(gap));
}

function onReplayed() {
  historyArrived = true;
  if (document.hidden) absence.begin("hidden");
  log.ready();
  showMissed(absence.end("network"));
}

function showMissed(count) {
  if (count) log.missed(count);
}

function onStatus(connection) {
  const open = connection.state === "open";
  if (historyArrived && !open) absence.begin("network");
  log.connected(open);
  status.show(connection);
  if (TOKEN_ERRORS.has(connection.code)) token.ask(connection);
}

function onError(error) {
  subscribed = error.passing;
  byId("problem").textContent = error.message;
  byId("problem").hidden = error.refusal;
  if (error.refusal) token.ask(error);
  status.refuse(error);
}

function onRetry() {
  if (status.refused) subscribe();
  else hub.connect();
}

function onAuthenticated({ principal: authenticated }) {
  token.done();
  if (!name) setName(nameOr(authenticated));
  const same = authenticated === principal;
  principal = authenticated;
  if (!subscribed || !same) subscribe();
}

async function onToken(value) {
  if (!hub) return;
  hub.setToken(value);
  if (value) return;
  principal = null;
  if (!name) setName(await knownName());
  subscribe();
}

function setName(chosen) {
  name = chosen;
  byId("my-name").textContent = name;
}

async function rename() {
  const before = member();
  setName(await changedName(name));
  composer.focus();
  if (member() !== before) subscribe();
}

/** Sends a message. Returns false before there is a name. */
function compose(text) {
  if (!name) return false;
  const entry = outbox.add({ sender: name, text, key: hub.newKey() });
  entry.row = log.addPending(entry);
  entry.row.querySelector(".retry").addEventListener("click", () => {
    log.retry(entry.row);
    composer.focus();
    send(entry);
  });
  entry.row.querySelector(".edit").addEventListener("click", () => {
    outbox.remove(entry);
    entry.row.remove();
    composer.edit(entry.text);
  });
  send(entry);
  typing.sent();
  return true;
}

async function send(entry) {
  const { sender, text, key } = entry;
  try {
    const { id, time } = await hub.publish(channel, { sender, text }, { key });
    entry.time = time;
    outbox.acknowledge(entry, id);
    log.acknowledge(entry.row, time);
  } catch (error) {
    // The answer was lost, but the event has arrived: it is stored.
    if (entry.settled) return;
    if (error.refusal) token.ask(error);
    const faults = error.details.map(
      ({ pointer, message }) => `${pointer.slice(1) || "message"}: ${message}`,
    );
    log.fail(entry.row, faults.join("; ") || error.message);
  }
}

function onVisibilityChange() {
  // Messages before the end of the replay are history, not missed.
  if (document.hidden) return historyArrived && absence.begin("hidden");
  title.clear();
  showMissed(absence.awake(Date.now()));
  showMissed(absence.end("hidden"));
}

byId("room").textContent = room;
byId("me").addEventListener("click", rename);
document.addEventListener("visibilitychange", onVisibilityChange);
setInterval(() => showMissed(absence.awake(Date.now())), AWAKE_INTERVAL);

// With a token there is a name already: the principal's.
setName(token.value ? nameOr("") : await knownName());
hub = new EventHub(new URL("v1/ws", location.href.replace(/^http/, "ws")), {
  token: token.value,
  onStatus,
  onAuthenticated,
  onExpiring: () => token.ask({ code: "expiring" }),
});
if (!token.value) subscribe();
composer.focus();
