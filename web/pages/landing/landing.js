// The landing page: the channel types of this server, and lines for a terminal that work as they stand.

import { describeType } from "../shared/channel-type.js";
import { sampleChannel, samplePayloads } from "../shared/samples.js";

const byId = (id) => document.getElementById(id);
const clone = (id) => byId(id).content.firstElementChild.cloneNode(true);

const SAMPLE_TYPES = [
  { name: "chat", payload: "chat" },
  { name: "iot", payload: "reading" },
  { name: "logs", payload: "log" },
];

function link(text, href) {
  const anchor = document.createElement("a");
  anchor.textContent = text;
  anchor.href = href;
  return anchor;
}

/** A channel type. Which channels of it there are is not known here, so whoever looks names one. */
function card(type) {
  const item = clone("card");
  item.querySelector("h3").textContent = type.name;
  item.querySelector(".muted").textContent = describeType(type);
  const field = item.querySelector("input[name=channel]");
  field.value = `${type.name}.`;
  field.pattern = `${type.name}(\\.[A-Za-z0-9_\\-]+)*`;
  field.title = `${type.name}, or that and more names joined by dots`;
  const links = item.querySelector(".links");
  if (type.name === "chat") links.append(link("Open the chat", "chat?room=lobby"));
  else links.remove();
  return item;
}

/** Links to what this server has no channel type for lead nowhere. */
function hideOthers(types) {
  for (const element of document.querySelectorAll("[data-type]")) {
    element.hidden = !types.some(({ name }) => name === element.dataset.type);
  }
}

/** Terminal lines for these channel types: chat, readings and logs where declared, otherwise whatever there is. `base`: where this page is. */
function lines(types, base) {
  const pick = (payload) => types.find((type) => type.payload === payload) ?? types[0];
  const [one, batch, stream] = [pick("chat"), pick("reading"), pick("log")];
  const url = (type) => `${base}v1/channels/${sampleChannel(type.name)}`;
  const json = (value) => JSON.stringify(value);
  const socket = `${base.replace(/^http/, "ws")}v1/ws?channel=${sampleChannel(one.name)}&since=-20`;
  const records = samplePayloads(stream.payload).map((payload) => `'${json(payload)}'`).join(" ");
  return [
    ["Publish an event", `curl -d '${json(samplePayloads(one.payload)[0])}' ${url(one)}`],
    ["Publish many at once", `curl -d '${json(samplePayloads(batch.payload))}' ${url(batch)}`],
    ["Stream events, one a line", `printf '%s\\n' ${records} | curl -sN -T - -H 'Content-Type: application/x-ndjson' ${url(stream)}`],
    ["Stream a file as it grows", `tail -F app.log.jsonl | curl -sSN -T . -H 'Content-Type: application/x-ndjson' ${url(stream)}`],
    ["Follow a channel", `curl -N '${url(stream)}/ndjson?since=-20'`],
    ["Follow it over WebSocket", `websocat '${socket}'`],
  ];
}

async function copy(button, code) {
  const selection = getSelection();
  selection.selectAllChildren(code);
  // The clipboard API exists in secure contexts alone; over plain HTTP the selection is copied.
  if (navigator.clipboard) await navigator.clipboard.writeText(code.textContent);
  else document.execCommand("copy");
  selection.removeAllRanges();
  button.textContent = "Copied";
  byId("copied").textContent = "Copied to the clipboard";
  setTimeout(() => {
    button.textContent = "Copy";
    byId("copied").textContent = "";
  }, 2000);
}

function showLine([title, text]) {
  const item = clone("line");
  const code = item.querySelector("code");
  const button = item.querySelector("button");
  item.querySelector("h3").textContent = title;
  code.textContent = text;
  button.setAttribute("aria-label", `Copy: ${title}`);
  button.addEventListener("click", () => copy(button, code));
  byId("lines").append(item);
}

async function channelTypes() {
  const answer = await fetch("v1/types");
  if (!answer.ok) throw new Error(`GET /v1/types answered ${answer.status}`);
  return (await answer.json()).types;
}

let types = [];
try {
  types = await channelTypes();
  byId("channels").append(...types.map(card));
  hideOthers(types);
} catch (error) {
  byId("channels-problem").textContent = `The channels cannot be shown: ${error.message}. Reload to try again.`;
  byId("channels-problem").hidden = false;
}
byId("channels").removeAttribute("aria-busy");
lines(types.length ? types : SAMPLE_TYPES, new URL(".", location.href).href).forEach(showLine);
