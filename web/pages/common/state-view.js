// Shows what stands in place of a page's content.

import { copyText } from "./clipboard.js";

/**
 * `root`: an element with the class "state" and role="status". `state`: its kind, title and text,
 * and optionally `example` (shown as code) and actions ({ label, href } or { label, onClick }).
 * Null hides it.
 */
export function showState(root, state) {
  root.hidden = state === null;
  if (state === null) return root.replaceChildren();
  const { kind, title, text, example, actions = [] } = state;
  // Written again, it would be announced again.
  const written = JSON.stringify([kind, title, text, example]);
  if (root.dataset.written === written && root.childElementCount) return;
  root.dataset.written = written;
  root.dataset.kind = kind;
  root.replaceChildren(element("h2", title), element("p", text ?? ""));
  if (example) root.append(element("pre", example), copyButton(example));
  if (actions.length) root.append(actionsOf(actions));
}

function actionsOf(actions) {
  const row = element("div", "");
  row.className = "actions";
  for (const { label, href, onClick } of actions) {
    const action = element(href ? "a" : "button", label);
    if (href) Object.assign(action, { href, className: "button" });
    else Object.assign(action, { type: "button", onclick: onClick });
    row.append(action);
  }
  return row;
}

function copyButton(text) {
  const button = element("button", "Copy");
  Object.assign(button, { type: "button", className: "small" });
  button.addEventListener("click", async () => {
    button.textContent = (await copyText(text)) ? "Copied" : "The browser does not allow it";
  });
  return button;
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
