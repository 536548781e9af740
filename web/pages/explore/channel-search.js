// The search for channels: patterns, which the server evaluates, and parts of names. No I/O.

/** Channels of a page, and pages of the server that are read for one, if a part is searched. */
export const SHOWN = 100;
const READS = 5;
const MOST = 1_000;

/**
 * What to ask the server for, and the part that names must contain besides. A text with * or > is a
 * pattern. Otherwise, whole tokens at its begin are one: "iot.ha" asks for iot.> and keeps iot.hall.
 */
export function searchOf(text) {
  const wanted = text.trim();
  if (!wanted) return { match: ">", part: "" };
  if (/[*>]/.test(wanted)) return { match: wanted, part: "" };
  const end = wanted.lastIndexOf(".");
  return { match: end > 0 ? `${wanted.slice(0, end)}.>` : ">", part: wanted.toLowerCase() };
}

/**
 * Reads a page: { channels, next, complete, looked }. `read(query)`: a page of the server. `looked`
 * is the number of channels that were read, if the page ends before all were.
 */
export async function readChannels(read, { match, part, after }) {
  const found = [];
  let complete = true;
  let looked = 0;
  for (let reads = 0; reads < (part ? READS : 1); reads += 1) {
    const query = { match, limit: part ? MOST : SHOWN, ...(after && { after }) };
    const page = await read(query);
    complete &&= page.complete;
    looked += page.channels.length;
    after = page.next;
    found.push(...page.channels.filter(({ name }) => name.toLowerCase().includes(part)));
    if (found.length > SHOWN) {
      const channels = found.slice(0, SHOWN);
      return { channels, next: channels.at(-1).name, complete, looked };
    }
    if (!after) break;
  }
  return { channels: found, next: after ?? null, complete, looked };
}
