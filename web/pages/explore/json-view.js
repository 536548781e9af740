// JSON text with a colour for each kind of value.

import { partsOf } from "./json.js";

/** Characters: longer text is shown without colours. */
const COLOURED = 4_000;

/** Shows JSON text in an element. */
export function showJson(element, text) {
  if (text.length > COLOURED) element.textContent = text;
  else element.replaceChildren(...partsOf(text).map(part));
}

function part([text, kind]) {
  if (!kind) return text;
  const made = document.createElement("span");
  made.className = `j-${kind}`;
  made.textContent = text;
  return made;
}
