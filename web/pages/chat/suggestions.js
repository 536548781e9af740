// What may complete the word at the caret: an emoji after `:`, a name after `@`. No I/O.

import { emojiLike } from "./emoji.js";
import { mentions } from "./text.js";

const WORD = /(?<![\p{L}\p{N}_:@])(?<mark>[:@])(?<typed>[\p{L}\p{N}_.\-]{0,40})$/u;
const MOST = 6;

/**
 * The suggestions for the text before the caret: each `label` with what it `writes` in place of the
 * last `length` characters.
 */
export function suggestionsFor(before, names) {
  const found = before.match(WORD);
  if (!found) return { length: 0, items: [] };
  const { mark, typed } = found.groups;
  const items = mark === "@" ? namesLike(typed, names) : emojisLike(typed);
  return { length: found[0].length, items };
}

function emojisLike(typed) {
  if (typed.length < 2) return [];
  return emojiLike(typed, MOST).map(({ name, emoji }) => ({
    label: `${emoji} ${name}`,
    writes: `${emoji} `,
  }));
}

function namesLike(typed, names) {
  const wanted = typed.toLowerCase();
  return names
    .filter((name) => !/["\n]/.test(name) && name.toLowerCase().startsWith(wanted))
    .slice(0, MOST)
    .map((name) => ({ label: `@${name}`, writes: `${mentionOf(name)} ` }));
}

/** A name of one word as it is, any other one in quotes. */
const mentionOf = (name) =>
  mentions(`@${name}`, name) ? `@${name}` : `@"${name}"`;
