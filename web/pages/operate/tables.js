// The rows of the page's tables. A row keeps its place in the document while it changes, so that
// the focus stays on its buttons.

import { byId } from "../common/dom.js";

/** `rows`: each with a `key`, `cells` (texts) and `actions` ({ label, onClick }). */
export function showRows(bodyId, rows, nothing) {
  const body = byId(bodyId);
  const before = new Map([...body.rows].map((row) => [row.dataset.key, row]));
  const shown = rows.length ? rows : [{ key: "", cells: [nothing], actions: [] }];
  const columns = body.parentElement.tHead.rows[0].cells.length;
  const next = shown.map((row) => filled(before.get(row.key) ?? made(row, columns), row));
  for (const [at, row] of next.entries()) {
    if (body.rows[at] !== row) body.insertBefore(row, body.rows[at] ?? null);
  }
  while (body.rows.length > next.length) body.lastElementChild.remove();
}

function made({ key, cells, actions }, columns) {
  const row = document.createElement("tr");
  row.dataset.key = key;
  for (const _ of cells) row.insertCell();
  if (!key) row.cells[0].colSpan = columns;
  if (actions.length) {
    row.insertCell().className = "row-actions";
    for (const { label, name } of actions) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "small";
      button.textContent = label;
      button.setAttribute("aria-label", name);
      row.lastElementChild.append(button);
    }
  }
  return row;
}

function filled(row, { cells, actions }) {
  for (const [at, text] of cells.entries()) {
    if (row.cells[at].textContent !== text) row.cells[at].textContent = text;
  }
  const buttons = row.querySelectorAll("button");
  for (const [at, { onClick }] of actions.entries()) buttons[at].onclick = onClick;
  return row;
}
