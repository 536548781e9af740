// Short names for what every page does with its document.

export const byId = (id) => document.getElementById(id);

/** A copy of the one element in the template `id`. */
export const clone = (id) => byId(id).content.firstElementChild.cloneNode(true);

export function link(text, href) {
  const anchor = document.createElement("a");
  anchor.textContent = text;
  anchor.href = href;
  return anchor;
}
