// The landing page: the channel types of this server, and commands for a terminal.

import { describeType } from "../common/channel-type.js";
import { byId, clone, link } from "../common/dom.js";
import { SAMPLE_TYPES, terminalLines } from "./terminal-lines.js";

/** A channel type with a form: its channels are not known here, so the person names one. */
function card(type) {
  const item = clone("card");
  item.querySelector("h3").textContent = type.name;
  item.querySelector(".muted").textContent = describeType(type);
  const field = item.querySelector("input[name=channel]");
  field.value = `${type.name}.`;
  field.pattern = `${type.name}(\\.[A-Za-z0-9_\\-]+)*`;
  field.title = `${type.name}, or ${type.name} and more names joined by dots`;
  const links = item.querySelector(".links");
  if (type.name === "chat") links.append(link("Open the chat", "chat?room=lobby"));
  else links.remove();
  return item;
}

/** Hides links to channel types that this server does not have. */
function hideOthers(types) {
  for (const element of document.querySelectorAll("[data-type]")) {
    element.hidden = !types.some(({ name }) => name === element.dataset.type);
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
  const response = await fetch("v1/types");
  if (!response.ok) throw new Error(`GET /v1/types answered ${response.status}`);
  return (await response.json()).types;
}

let types = [];
try {
  types = await channelTypes();
  byId("channels").append(...types.map(card));
  hideOthers(types);
} catch (error) {
  const fault = `The channels cannot be shown: ${error.message}. Reload to try again.`;
  byId("channels-problem").textContent = fault;
  byId("channels-problem").hidden = false;
}
byId("channels").removeAttribute("aria-busy");
const lines = terminalLines(types.length ? types : SAMPLE_TYPES, new URL(".", location.href).href);
byId("lines").append(...lines.map(terminalLine));
