// Writes a message's text into the page. What a person wrote reaches it through textContent only.

import { parse } from "./text.js";

const ELEMENTS = {
  block: "code",
  code: "code",
  emphasis: "em",
  link: "a",
  mention: "span",
  strong: "strong",
};

/** `me`: the name whose mentions are marked. */
export function writeText(element, text, me) {
  element.replaceChildren(...parse(text).map((part) => nodeOf(part, me)));
}

function nodeOf({ kind, text, href, name }, me) {
  if (kind === "text") return document.createTextNode(text);
  const node = document.createElement(ELEMENTS[kind]);
  node.textContent = text;
  if (kind === "block") node.className = "block";
  if (kind === "link") Object.assign(node, { href, target: "_blank", rel: "noopener noreferrer" });
  if (kind === "mention") {
    node.className = name.toLowerCase() === me.toLowerCase() ? "mention me" : "mention";
  }
  return node;
}
