// A message's text as parts: plain text, links, code, emphasis and mentions. No I/O, no HTML: the
// page writes each part with textContent.

const CODE_BLOCK = "```(?<block>[^`]+)```";
const CODE = "`(?<code>[^`\\n]+)`";
const LINK = "(?<link>https?://[^\\s<>\"`]+)";
const STRONG = "(?<![\\p{L}\\p{N}*])\\*\\*(?<strong>[^\\s*](?:[^*\\n]*[^\\s*])?)\\*\\*(?![\\p{L}\\p{N}*])";
const STAR = "(?<![\\p{L}\\p{N}*])\\*(?<star>[^\\s*](?:[^*\\n]*[^\\s*])?)\\*(?![\\p{L}\\p{N}*])";
const LINE = "(?<![\\p{L}\\p{N}_])_(?<line>[^\\s_](?:[^_\\n]*[^\\s_])?)_(?![\\p{L}\\p{N}_])";
const MENTION = "(?<![\\p{L}\\p{N}_@.])@(?:\"(?<quoted>[^\"\\n]{1,64})\"|(?<mention>[\\p{L}\\p{N}_](?:[\\p{L}\\p{N}_.\\-]{0,62}[\\p{L}\\p{N}_])?))";
const PART = new RegExp([CODE_BLOCK, CODE, LINK, STRONG, STAR, LINE, MENTION].join("|"), "gu");

/** The parts in order: { kind, text }, and for a link its `href`. */
export function parse(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(PART)) {
    if (match.index < end) continue;
    const part = partOf(match);
    if (!part) continue;
    if (match.index > end) parts.push({ kind: "text", text: text.slice(end, match.index) });
    parts.push(part);
    end = match.index + (part.length ?? match[0].length);
    delete part.length;
  }
  if (end < text.length || !parts.length) parts.push({ kind: "text", text: text.slice(end) });
  return parts;
}

function partOf({ groups }) {
  const { block, code, link, strong, star, line } = groups;
  const mention = groups.quoted ?? groups.mention;
  if (block !== undefined) return { kind: "block", text: block.replace(/^\n|\n$/g, "") };
  if (code !== undefined) return { kind: "code", text: code };
  if (link !== undefined) return linkOf(link);
  if (strong !== undefined) return { kind: "strong", text: strong };
  if (mention !== undefined) return { kind: "mention", text: `@${mention}`, name: mention };
  return { kind: "emphasis", text: star ?? line };
}

/**
 * Punctuation that ends a sentence is not of the link, nor is a bracket that opened before it. The
 * end of a pattern is: /iot/iot.hall.*
 */
function linkOf(found) {
  let text = /\w\.\*$/.test(found) ? found : found.replace(/[.,;:!?'"*_]+$/, "");
  while (/[)\]]$/.test(text) && count(text, text.at(-1)) > count(text, opening(text.at(-1)))) {
    text = text.slice(0, -1).replace(/[.,;:!?'"*_]+$/, "");
  }
  try {
    const { href, host } = new URL(text);
    return host ? { kind: "link", text, href, length: text.length } : null;
  } catch {
    return null;
  }
}

const opening = (closing) => (closing === ")" ? "(" : "[");
const count = (text, character) => text.split(character).length - 1;

/** Whether a text mentions this name, in any case. */
export function mentions(text, name) {
  const wanted = name.toLowerCase();
  return parse(text).some((part) => part.kind === "mention" && part.name.toLowerCase() === wanted);
}
