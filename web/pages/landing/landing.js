// The landing page: the channel types of this server, and commands for a terminal.

import { Http } from "../../client/http.js";
import { describeType } from "../common/channel-type.js";
import { byId, clone, link } from "../common/dom.js";
import { SAMPLE_TYPES, terminalLines } from "./terminal-lines.js";

/** Channels of one type that are shown. */
const SHOWN = 5;
const http = new Http();

/** A channel type with a form, because a channel needs no creation: the person may name any. */
function card(type) {
  const item = clone("card");
  item.querySelector("h3").textContent = type.name;
  item.querySelector(".muted").textContent = describeType(type);
  const field = item.querySelector("input[name=channel]");
  field.value = `${type.name}.`;
  field.pattern = `${type.name}(\\.[A-Za-z0-9_\\-]+)*`;
  field.title = `${type.name}, or ${type.name} and more names joined by dots`;
  const links = item.querySelector(".links");
  const page = pageOf(type);
  if (page) links.append(page);
  else links.remove();
  return item;
}

const PAGES = { log: ["Read the logs", "logs"], reading: ["See the readings", "iot"] };

/** A link to the page that is made for a channel type; null if none is. */
function pageOf({ name, payload }) {
  if (name === "chat") return link("Open the chat", "chat/lobby");
  if (!PAGES[payload]) return null;
  const [text, page] = PAGES[payload];
  return link(text, `${page}/${encodeURIComponent(`${name}.>`)}`);
}

/** The address of the page that shows this channel best. */
function addressOf({ name, payload }, channel) {
  if (name === "chat" && channel !== name) return `chat/${channel.slice(name.length + 1)}`;
  const [, page] = PAGES[payload] ?? [];
  return page ? `${page}/${channel}` : `explore/${channel}`;
}

/** Shows the first channels of a type that have events or subscribers. */
async function showChannels(item, type) {
  const response = await http.channels({ match: `${type.name}.>`, limit: SHOWN });
  if (!response.ok) return; // this server shows them to clients with a credential
  const { channels, next } = await response.json();
  const list = item.querySelector(".existing");
  for (const channel of channels) {
    list.append(link(channel.name, addressOf(type, channel.name)), muted(activity(channel)));
  }
  if (next) list.append(muted("and others: enter a name", "more"));
  list.hidden = channels.length === 0;
}

function activity({ events, subscribers }) {
  const kept = `${events.toLocaleString("en")} event${events === 1 ? "" : "s"}`;
  return subscribers ? `${kept}, ${subscribers} listening` : kept;
}

function muted(text, name = "") {
  const element = document.createElement("span");
  element.className = `muted ${name}`;
  element.textContent = text;
  return element;
}

/** Hides links to channel types and payloads that this server does not have. */
function hideOthers(types) {
  for (const element of document.querySelectorAll("[data-type], [data-payload]")) {
    const { type, payload } = element.dataset;
    element.hidden = !types.some((each) => each.name === type || each.payload === payload);
  }
}

function terminalLine([title, command]) {
  const item = clone("line");
  const code = item.querySelector("code");
  const button = item.querySelector("button");
  item.querySelector("h3").textContent = title;
  code.textContent = command;
  button.setAttribute("aria-label", `Copy: ${title}`);
  button.addEventListener("click", () => copy(button, code));
  return item;
}

async function copy(button, code) {
  const selection = getSelection();
  selection.selectAllChildren(code);
  // Browsers have the clipboard API in secure contexts only. Over plain HTTP, copy the selection.
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

async function channelTypes() {
  const response = await http.types();
  if (!response.ok) throw new Error(`GET /v1/types answered ${response.status}`);
  return (await response.json()).types;
}

let types = [];
try {
  types = await channelTypes();
  const cards = types.map(card);
  byId("channels").append(...cards);
  hideOthers(types);
  await Promise.allSettled(types.map((type, index) => showChannels(cards[index], type)));
} catch (error) {
  const fault = `The channels cannot be shown: ${error.message}. Reload to try again.`;
  byId("channels-problem").textContent = fault;
  byId("channels-problem").hidden = false;
}
byId("channels").removeAttribute("aria-busy");
const lines = terminalLines(types.length ? types : SAMPLE_TYPES, new URL(".", location.href).href);
byId("lines").append(...lines.map(terminalLine));
performance.mark("interactive");
