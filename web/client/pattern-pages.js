// Where the channels of a pattern stand, and their events up to there, read in pages: a stream does
// not say where it stands in each channel, and an address holds only so many positions. Only for
// sse.js.

/** Characters of positions that fit into an address, encoded, beside a token and cookies. */
const ADDRESS = 8000;

const isShort = (since) =>
  typeof since === "object" && Object.entries(since).flat().join().length < ADDRESS;

/**
 * Says the events and gaps of each channel from `since` on: a word, or the positions of channels,
 * beside which all others were born later. Resolves with the positions after them, and with the
 * `cursor` where a stream goes on: what it repeats is known by its position. Or with `{ error }`.
 */
export async function readPattern(link, pattern, since, where, say) {
  if (isShort(since)) return { positions: since, cursor: since };
  const query = new URLSearchParams({ channel: pattern, since: "latest", limit: "1" });
  const { value, error } = await link.get(`v1/events?${query}`);
  if (error) return { error };
  const { positions, error: fault } = await readChannels(link, pattern, since, where, say);
  return { positions, error: fault, cursor: value.position };
}

async function readChannels(link, pattern, since, where, say) {
  const given = typeof since === "object" ? since : null;
  const positions = { ...given };
  for (let after = null; ; ) {
    const query = new URLSearchParams({ match: pattern, limit: "1000", ...(after && { after }) });
    const { value, error } = await link.get(`v1/channels?${query}`);
    if (error) return { error };
    for (const { name, head } of value.channels) {
      if (head === null) continue; // it has no event: the first one that comes is told
      const from = given ? (given[name] ?? "earliest") : since;
      if (from === "latest") positions[name] = head;
      else if (from !== head) {
        Object.assign(positions, await readChannel(link, name, head, from, where, say));
      }
    }
    after = value.next;
    if (after === null) return { positions };
  }
}

async function readChannel(link, channel, head, since, where, say) {
  for (let from = since; ; ) {
    const query = new URLSearchParams({ since: from, limit: "1000", ...(where && { where }) });
    const { value, error } = await link.get(`v1/channels/${channel}?${query}`);
    if (error?.code === "invalid_since") return { [channel]: head }; // a type without a state
    if (error) throw new TypeError(error.message);
    if (value.gap) say({ type: "gap", channel, ...value.gap });
    for (const event of value.events) say(event);
    if (value.position === value.head) return { [channel]: value.head };
    from = value.position;
  }
}
