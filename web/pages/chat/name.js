// The person's name: asked before anything else, remembered, changeable.

const KEY = "eventhub.name";
const LONGEST = 64;
const byId = (id) => document.getElementById(id);

// A browser may forbid storage altogether; the name then lasts as long as the page.
function remembered() {
  try {
    return localStorage.getItem(KEY) ?? "";
  } catch {
    return "";
  }
}

function remember(name) {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // As above.
  }
}

/** Asks until there is a name. Resolves with it, or with the current one when the person changes nothing. */
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

/** The remembered name, asked for when there is none. */
export async function knownName() {
  return remembered() || changedName("");
}

/** The remembered name, or as much of this one as a name may have. */
export function nameOr(other) {
  return remembered() || [...other].slice(0, LONGEST).join("");
}

export async function changedName(current) {
  const name = await ask(current);
  remember(name);
  return name;
}
