// One of the colours in tokens.css ([data-hue]) for a name. No I/O.

export const COLOURS = 8;

/** The same number for the same name, below COLOURS. */
export function colourOf(name) {
  let hash = 0;
  for (const character of name) hash = (hash * 31 + character.codePointAt(0)) % 65_521;
  return hash % COLOURS;
}
