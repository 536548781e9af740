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
 * What another pattern covers is left out, as the server gives each event once.
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
  const wide = withoutCovered([...new Set(patterns)]);
  const both = wide.flatMap((one, at) => wide.slice(at + 1).map((other) => [one, other]));
  const clash = both.find(([one, other]) => overlap(one, other));
  const fault = clash ? `${clash.join(" and ")} have channels in common: name them once.` : null;
  return { patterns: fault ? [] : wide, fault };
}

const withoutCovered = (patterns) =>
  patterns.filter((one) => !patterns.some((other) => other !== one && covers(other, one)));

function covers(wide, narrow) {
  const [one, other] = [wide.split("."), narrow.split(".")];
  const same = one.every((token, at) =>
    token === ">" ? other[at] : token === other[at] || (token === "*" && other[at] !== ">"),
  );
  return same && (one.at(-1) === ">" || one.length === other.length);
}

function overlap(left, right) {
  const [one, other] = [left.split("."), right.split(".")];
  for (let at = 0; one[at] ?? other[at]; at += 1) {
    const [a, b] = [one[at], other[at]];
    if (!a || !b) return false;
    if (a === ">" || b === ">") return true;
    if (a !== b && a !== "*" && b !== "*") return false;
  }
  return true;
}

/** A channel's name without its type, which is the same for all on the page. */
export const shortName = (channel) => channel.slice(channel.indexOf(".") + 1);
