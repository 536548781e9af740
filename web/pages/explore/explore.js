// The explorer: any channel, live, and a form that publishes to it.

import { TOKEN_ERRORS } from "../../client/errors.js";
import { EventHub } from "../../client/eventhub.js";
import { Http } from "../../client/http.js";
import { byId } from "../common/dom.js";
import { sampleChannel, samplePayloads } from "../common/samples.js";
import { StatusView } from "../common/status.js";
import { Token } from "../common/token.js";
import { EventTable, pretty } from "./event-table.js";

const query = new URLSearchParams(location.search);
const channel = query.get("channel") || "logs.api";
const since = query.get("since") || "-50";
const WAITING = byId("empty").textContent;
const NOT_FOLLOWED = "This channel is not being followed.";

const table = new EventTable({
  body: byId("rows"),
  count: byId("count"),
  empty: byId("empty"),
  eventRow: byId("event-row"),
  gapRow: byId("gap-row"),
  onWaiting: showWaiting,
});
const status = new StatusView(byId("status"), onRetry);
const token = new Token(byId("token"), byId("filter"), onToken);
const http = new Http({ token: () => token.value });
const hub = new EventHub(new URL("v1/ws", location.href.replace(/^http/, "ws")), {
  token: token.value,
  onStatus,
  onAuthenticated,
  onExpiring: () => token.ask({ code: "expiring" }),
});
let following = false;

function follow() {
  following = true;
  hub.subscribe(channel, {
    since,
    onEvent: (event) => table.addEvent(event),
    onGap: (gap) => table.addGap(gap),
    onSubscribed: () => showRefusal(null),
    onError: showRefusal,
  });
}

/** Shows that the channel was refused; null: that it is followed. */
function showRefusal(error) {
  following = error?.passing ?? true;
  if (error?.refusal) token.ask(error);
  else if (status.refused) token.done();
  status.refuse(error);
  byId("problem").textContent = error?.message ?? "";
  byId("problem").hidden = error === null || error.refusal;
  byId("empty").textContent = error ? NOT_FOLLOWED : WAITING;
}

function onRetry() {
  if (status.refused) follow();
  else hub.connect();
}

function onStatus(connection) {
  status.show(connection);
  if (TOKEN_ERRORS.has(connection.code)) token.ask(connection);
  if (connection.state === "stopped") byId("empty").textContent = NOT_FOLLOWED;
}

function onAuthenticated() {
  token.done();
  if (!following) follow();
}

function onToken(value) {
  hub.setToken(value);
  if (!value && !following) follow();
}

function showWaiting(count) {
  const paused = byId("pause").getAttribute("aria-pressed") === "true";
  byId("pause").textContent = paused ? `Resume${count ? ` (${count} new)` : ""}` : "Pause";
}

function togglePause({ currentTarget: button }) {
  const paused = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(paused));
  table.pause(paused);
}

async function publish(event) {
  event.preventDefault();
  try {
    const response = await http.publish(channel, byId("body").value);
    const answer = await response.json();
    showAnswer(response.status === 201 ? "good" : "bad", describe(response, answer));
    const { code, detail: message } = answer;
    if (TOKEN_ERRORS.has(code)) token.ask({ code, message });
  } catch (error) {
    showAnswer("bad", `Not sent: ${error.message}`);
  }
}

function showAnswer(className, text) {
  byId("answer").className = className;
  byId("answer").textContent = text;
  byId("answer").hidden = false;
}

/** The server's answer to a publish, with each fault of an event on its own line. */
function describe({ status: code, statusText }, answer) {
  if (!answer.code) return `${code} ${statusText}\n${pretty(answer)}`;
  const faults = answer.details ?? [];
  const lines = faults.map(({ pointer, message }) => `${pointer || "/"}: ${message}`);
  return [`${code} ${answer.code}`, answer.detail, ...lines].filter(Boolean).join("\n");
}

/** Suggests channels in the form, and an event that fits this channel. */
async function suggest() {
  const response = await http.types();
  if (!response.ok) return;
  const { types } = await response.json();
  const names = new Set([...types.map(({ name }) => sampleChannel(name)), ...(await existing())]);
  byId("channel-names").append(...[...names].map((name) => new Option(name)));
  const payload = types.find(({ name }) => name === channel.split(".")[0])?.payload;
  if (!byId("body").value) byId("body").value = pretty(samplePayloads(payload)[0]);
}

/** Names of channels that have events or subscribers. */
async function existing() {
  const response = await http.channels({ limit: 500 });
  return response.ok ? (await response.json()).channels.map(({ name }) => name) : [];
}

/** On a narrow screen the forms come first. They are folded, so that the events are in sight. */
function foldWhenNarrow() {
  const narrow = matchMedia("(width <= 60rem)");
  const fold = () => {
    for (const panel of document.querySelectorAll("details")) panel.open = !narrow.matches;
  };
  narrow.addEventListener("change", fold);
  fold();
}

foldWhenNarrow();
document.title = `${channel} · EventHub`;
byId("channel-title").textContent = channel;
byId("open-channel").value = channel;
byId("open-since").value = since;
byId("filter").addEventListener("input", (event) => table.filter(event.target.value));
byId("clear").addEventListener("click", () => table.clear());
byId("pause").addEventListener("click", togglePause);
byId("publish").addEventListener("submit", publish);
byId("body").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("publish").requestSubmit();
});
follow();
performance.mark("interactive");
await suggest();
