// Where the channels of a pattern stand, and their events up to there, read in pages: a stream does
// not say where it stands in each channel. Only for sse.js.

/**
 * Says the events and gaps of each channel from `since` on. Resolves with the positions after them,
 * or with `{ error }`.
 */
export async function readPattern(link, pattern, since, where, say) {
  const positions = {};
  for (let after = null; ; ) {
    const query = new URLSearchParams({ match: pattern, limit: "1000", ...(after && { after }) });
    const { value, error } = await link.get(`v1/channels?${query}`);
    if (error) return { error };
    for (const { name, head } of value.channels) {
      if (head === null) continue; // it has no event: the first one that comes is told
      if (since === "latest") positions[name] = head;
      else Object.assign(positions, await readChannel(link, name, head, since, where, say));
    }
    after = value.next;
    if (after === null) return positions;
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
