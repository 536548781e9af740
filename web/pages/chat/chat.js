// The chat page: one room is one channel. This module connects the parts; each part is a file.

import { TOKEN_ERRORS } from "../../client/errors.js";
import { EventHub } from "../../client/eventhub.js";
import { Http } from "../../client/http.js";
import { reached } from "../../client/positions.js";
import { byId } from "../common/dom.js";
import { SERVER, namedInAddress } from "../common/place.js";
import { StatusView } from "../common/status.js";
import { Token } from "../common/token.js";
import { AWAKE_INTERVAL, Absence } from "./absence.js";
import { Changes } from "./changes.js";
import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { describeGap } from "./gaps.js";
import { MessageActions } from "./message-actions.js";
import { MessageLog } from "./message-log.js";
import { moderates } from "./moderation.js";
import { changedName, knownName, nameOr } from "./name.js";
import { Notifications } from "./notifications.js";
import { Older } from "./older.js";
import { Outbox } from "./outbox.js";
import { People } from "./people.js";
import { Rooms, readMark } from "./rooms.js";
import { Sending } from "./sending.js";
import { recall, remember } from "./storage.js";
import { Typing, describeTyping } from "./typing.js";
import { UnreadTitle } from "./unread-title.js";

const HISTORY = 100;
const MAX_MEMBER_LENGTH = 64;

const room = namedInAddress() || "lobby";
const channel = `chat.${room}`;
const draftKey = `eventhub.draft.${channel}`;
const title = new UnreadTitle(`#${room} · EventHub`);
const log = new MessageLog((id) => conversation.forget(id), loadOlder);
const person = () => ({ name, principal, moderates: moderates(token.value, channel) });
const conversation = new Conversation(log, person);
const people = new People();
const outbox = new Outbox();
const absence = new Absence();
const typing = new Typing(showTyping, sendTyping, {
  now: () => performance.now(),
  setTimeout: (action, delay) => setTimeout(action, delay),
});
const composer = new Composer(
  {
    send: compose,
    edit: (id, text) => changes.edit(id, text),
    change: onChange,
    last: () => changes.beginLast(),
    leave: () => actions.focusLast(),
  },
  () => people.names,
);
const changes = new Changes(conversation, composer, log, refer);
const actions = new MessageActions(changes, () => composer.focus());
const notifications = new Notifications(room);
const status = new StatusView(byId("status"), () =>
  status.refused ? subscribe() : hub.connect(),
);
const token = new Token(byId("token"), composer, onToken);
const http = new Http({ base: SERVER.href, token: () => token.value });
const rooms = new Rooms(http, channel);
const older = new Older((query) => readPage(query));
const lastRead = readMark(channel);
let hub;
let sending;
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
    since: subscription?.cursor ?? `-${HISTORY}`,
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
  older.hold(event);
  if (!document.hidden) rooms.seen(event.id);
  if (!conversation.take(event)) return;
  typing.spoke(event.data.sender);
  const entry = outbox.claim(event);
  if (entry) settle(entry, event);
  else addMessage(event, replay);
  conversation.show(event.id);
}

function addMessage(event, replay) {
  const own = conversation.isOwn(event);
  showMissed(absence.awake(Date.now()));
  const isNew = historyArrived || (lastRead && comparable(event.id) && !reached(lastRead, event.id));
  if (!historyArrived && isNew) absence.begin("closed");
  if (!own && isNew && absence.missed()) log.away(event.time);
  log.add(event, own, name);
  if (replay || !document.hidden) return;
  title.add();
  if (!own) notifications.tell(event.data, name);
}

const comparable = (id) => id.split("-")[0] === lastRead.split("-")[0];

function settle(entry, event) {
  entry.settled = true;
  log.settle(entry.row, event);
}

function onGap(gap) {
  for (const entry of outbox.release(gap.position)) {
    settle(entry, { time: entry.time, data: entry });
  }
  if (gap.reason === "reset") older.forget();
  log.notice(describeGap(gap));
}

function onReplayed() {
  historyArrived = true;
  if (document.hidden) absence.begin("hidden");
  log.ready();
  byId("empty").hidden = !log.empty;
  showMissed(absence.end("closed"));
  showMissed(absence.end("network"));
  if (older.held >= HISTORY) fill();
}

async function fill() {
  while (log.unfilled && !older.done && (await loadOlder())); // reactions have no rows
}

function showMissed(count) {
  if (count) log.missed(count);
}

async function readPage(query) {
  const response = await http.history(channel, query);
  if (!response.ok) throw new Error(`history was refused: ${response.status}`);
  return response.json();
}

async function loadOlder() {
  if (!historyArrived || older.done) return false;
  byId("older").hidden = false;
  try {
    const messages = (await older.load()).filter((event) => conversation.take(event));
    log.addOlder(messages.map((event) => [event, conversation.isOwn(event)]), name);
    for (const { id } of messages) conversation.show(id);
    byId("beginning").hidden = !older.done;
    return true;
  } catch {
    return false; // The next scroll asks again.
  } finally {
    byId("older").hidden = true;
  }
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
  showProblem(error.refusal ? "" : error.message);
  if (error.refusal) token.ask(error);
  status.refuse(error);
}

function showProblem(text) {
  byId("problem").hidden = !text;
  byId("problem").textContent = text;
}

function onAuthenticated({ principal: authenticated }) {
  token.done();
  if (!name) setName(nameOr(authenticated));
  const same = authenticated === principal;
  principal = authenticated;
  if (!subscribed || !same) subscribe();
  rooms.update();
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
  byId("empty").hidden = true;
  sending.message(name, text);
  typing.sent();
  return true;
}

function onChange(text) {
  remember(draftKey, text);
  typing.changed(text);
}

function refer(id, relation, text) {
  sending.refer(id, relation, text === null ? null : { sender: name, text });
}

function onVisibilityChange() {
  // Messages before the end of the replay are history, not missed.
  if (document.hidden) return historyArrived && absence.begin("hidden");
  title.clear();
  if (subscription?.cursor) rooms.seen(subscription.cursor);
  showMissed(absence.awake(Date.now()));
  showMissed(absence.end("hidden"));
}

byId("room").textContent = room;
byId("status").querySelector(".status-text").textContent = "not connected yet"; // without a name
byId("me").addEventListener("click", rename);
document.addEventListener("visibilitychange", onVisibilityChange);
setInterval(() => showMissed(absence.awake(Date.now())), AWAKE_INTERVAL);
if (recall(draftKey)) composer.restore(recall(draftKey));

// With a token there is a name already: the principal's.
setName(token.value ? nameOr("") : await knownName());
hub = new EventHub(SERVER, {
  token: token.value,
  onStatus,
  onAuthenticated,
  onExpiring: () => token.ask({ code: "expiring" }),
});
sending = new Sending(hub, channel, log, outbox, {
  refused: (error) => token.ask(error),
  problem: showProblem,
  focus: () => composer.focus(),
  restore: (text) => composer.restore(text),
  me: () => name,
});
if (!token.value) subscribe();
rooms.start();
composer.focus();
performance.mark("interactive");
