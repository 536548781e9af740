// The person's name: asked for first, remembered in this browser, changeable.

import { byId } from "../common/dom.js";
import { recall, remember } from "./storage.js";

const KEY = "eventhub.name";
const MAX_LENGTH = 64;

/** The remembered name. Asks for one if there is none. */
export async function knownName() {
  return recall(KEY) || changedName("");
}

/** The remembered name; without one, as much of `other` as a name may have. */
export function nameOr(other) {
  return recall(KEY) || [...other].slice(0, MAX_LENGTH).join("");
}

/** Asks for a name. Resolves with the current one if the person cancels. */
export async function changedName(current) {
  const name = await ask(current);
  remember(KEY, name);
  return name;
}

/** Shows the dialog until there is a name. */
function ask(current) {
  const dialog = byId("name-dialog");
  const field = byId("name-field");
  field.value = current;
  dialog.returnValue = "";
  dialog.showModal();
  field.select();
  return new Promise((resolve) => {
    const closed = () => {
      const name = field.value.trim();
      const answered = dialog.returnValue === "given" && name;
      if (!answered && !current) return dialog.showModal();
      dialog.removeEventListener("close", closed);
      resolve(answered ? name : current);
    };
    dialog.addEventListener("close", closed);
  });
}

