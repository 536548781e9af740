// Which channels a page shows, from what its address names. No I/O.

/** The channels and patterns in a text with commas between, each once. */
export function partsOf(named) {
  const parts = named.split(",").map((each) => each.trim());
  return [...new Set(parts)].filter(Boolean);
}

/**
 * `named`: channels and patterns, with commas between. `types`: those of GET /v1/types. `payload`:
 * what the page can show. `usual`: the type that is meant where a name begins with no type, so that
 * /logs/api is the channel logs.api. Returns { patterns, fault }: the fault is a sentence, or null.
 */
export function resolvePatterns(named, types, payload, usual) {
  const fitting = types.filter((type) => type.payload === payload).map(({ name }) => name);
  const first = fitting.includes(usual) ? usual : fitting[0];
  if (!first) {
    return { patterns: [], fault: `No channel type of this server has the payload ${payload}.` };
  }
  const patterns = [];
  for (const part of partsOf(named)) {
    const [token] = part.split(".");
    const type = types.find(({ name }) => name === token);
    if (type && !fitting.includes(token)) {
      const fault = `Events of ${part} have the payload ${type.payload}; expected ${payload}.`;
      return { patterns: [], fault };
    }
    patterns.push(type ? part : `${first}.${part}`);
  }
  if (patterns.length === 0) patterns.push(`${first}.>`);
  return { patterns: [...new Set(patterns)], fault: null };
}

/** A channel's name without its type, which is the same for all on the page. */
export const shortName = (channel) => channel.slice(channel.indexOf(".") + 1);
