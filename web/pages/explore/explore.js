// The explorer: any channel, live, and a form that publishes to it.

import { TOKEN_ERRORS } from "../../client/errors.js";
import { EventHub } from "../../client/eventhub.js";
import { EventTable, pretty } from "./event-table.js";
import { Http } from "../../client/http.js";
import { sampleChannel, samplePayloads } from "../shared/samples.js";
import { StatusView } from "../shared/status.js";
import { Token } from "../shared/token.js";

const byId = (id) => document.getElementById(id);
const query = new URLSearchParams(location.search);
const channel = query.get("channel") || "logs.api";
const since = query.get("since") || "-50";
const WAITING = byId("empty").textContent;
const NOTHING = "This channel is not being followed.";

const table = new EventTable({
  body: byId("rows"),
  count: byId("count"),
  empty: byId("empty"),
  eventRow: byId("event-row"),
  gapRow: byId("gap-row"),
  onWaiting: (count) => {
    const paused = byId("pause").getAttribute("aria-pressed") === "true";
    byId("pause").textContent = paused ? `Resume${count ? ` (${count} new)` : ""}` : "Pause";
  },
});

const status = new StatusView(byId("status"), () => (status.refused ? follow() : hub.connect()));
const token = new Token(byId("token"), byId("filter"), changeToken);
const http = new Http({ token: () => token.value });
const onExpiring = () => token.ask({ code: "expiring" });
const address = new URL("v1/ws", location.href.replace(/^http/, "ws"));
const hub = new EventHub(address, { token: token.value, onStatus, onAuthenticated, onExpiring });
let following = false;

function onAuthenticated() {
  token.done();
  if (!following) follow();
}

function changeToken(value) {
  hub.setToken(value);
  if (!value && !following) follow();
}

function onStatus(connection) {
  status.show(connection);
  if (TOKEN_ERRORS.has(connection.code)) token.ask(connection);
  if (connection.state === "stopped") byId("empty").textContent = NOTHING;
}

function follow() {
  following = true;
  hub.subscribe(channel, {
    since,
    onEvent: (event) => table.addEvent(event),
    onGap: (gap) => table.addGap(gap),
    onSubscribed: () => told(null),
    onError: told,
  });
}

/** That the channel was refused, or, with null, that it is followed. */
function told(error) {
  following = error?.passing ?? true;
  if (error?.refusal) token.ask(error);
  else if (status.refused) token.done();
  status.refuse(error);
  byId("problem").textContent = error?.message ?? "";
  byId("problem").hidden = error === null || error.refusal;
  byId("empty").textContent = error ? NOTHING : WAITING;
}

/** What the server said, with each fault of an event on a line of its own. */
function describe(answer, document) {
  const faults = (document.details ?? []).map(({ pointer, message }) => `${pointer || "/"}: ${message}`);
  const title = document.code ? `${answer.status} ${document.code}` : `${answer.status} ${answer.statusText}`;
  return [title, document.detail, ...faults, document.code ? null : pretty(document)].filter(Boolean).join("\n");
}

async function publish(event) {
  event.preventDefault();
  const output = byId("answer");
  try {
    const answer = await http.publish(channel, byId("body").value);
    const document = await answer.json();
    output.className = answer.status === 201 ? "good" : "bad";
    output.textContent = describe(answer, document);
    if (TOKEN_ERRORS.has(document.code)) token.ask({ code: document.code, message: document.detail });
  } catch (error) {
    output.className = "bad";
    output.textContent = `Not sent: ${error.message}`;
  }
  output.hidden = false;
}

async function suggest() {
  const answer = await http.types();
  if (!answer.ok) return;
  const { types } = await answer.json();
  byId("channel-names").append(...types.map(({ name }) => new Option(sampleChannel(name))));
  const payload = types.find(({ name }) => name === channel.split(".")[0])?.payload;
  if (!byId("body").value) byId("body").value = pretty(samplePayloads(payload)[0]);
}

// On a narrow screen the forms come first, folded, so that the events are in sight.
const narrow = matchMedia("(width <= 60rem)");
const fold = () => document.querySelectorAll("details").forEach((panel) => (panel.open = !narrow.matches));
narrow.addEventListener("change", fold);
fold();
document.title = `${channel} · EventHub`;
byId("channel-title").textContent = channel;
byId("open-channel").value = channel;
byId("open-since").value = since;
byId("filter").addEventListener("input", (event) => table.filter(event.target.value));
byId("clear").addEventListener("click", () => table.clear());
byId("pause").addEventListener("click", ({ currentTarget: button }) => {
  const paused = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(paused));
  table.pause(paused);
});
byId("publish").addEventListener("submit", publish);
byId("body").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("publish").requestSubmit();
});
follow();
await suggest();
