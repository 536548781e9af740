// JSON as text for people, and without the rounding of large integers: those are BigInts here. No
// I/O.

/** Characters: shorter JSON is shown on one line. */
const ONE_LINE = 88;
const TOKEN = /("(?:\\.|[^"\\])*")(\s*:)?|-?\d[\d.eE+-]*|\b(?:true|false|null)\b/g;

/** As JSON.parse. Integers that a number would round are BigInts, if the browser tells them. */
export function parse(text) {
  return JSON.parse(text, (_, value, context) => {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
    const source = context?.source ?? "";
    return /^-?\d+$/.test(source) ? BigInt(source) : value;
  });
}

/** As JSON.stringify, with BigInts as what they are. */
export function stringify(value, indent = 0, depth = 0) {
  if (typeof value === "bigint") return String(value);
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((each) => stringify(each, indent, depth + 1))
    : Object.entries(value)
        .filter(([, each]) => each !== undefined)
        .map(([name, each]) => named(name, stringify(each, indent, depth + 1), indent));
  const [open, close] = isList ? "[]" : "{}";
  if (!indent || !parts.length) return open + parts.join(",") + close;
  const inner = `\n${" ".repeat(indent * (depth + 1))}`;
  return `${open}${inner}${parts.join(`,${inner}`)}\n${" ".repeat(indent * depth)}${close}`;
}

const named = (name, text, indent) => `${JSON.stringify(name)}:${indent ? " " : ""}${text}`;

/** JSON for people: on one line if it is short. */
export function pretty(data) {
  const text = stringify(data, 2);
  const line = text.replace(/\n\s*/g, " ");
  return line.length <= ONE_LINE ? line : text;
}

/** The parts of JSON text: [text, kind], where the kind is key, string, number, word or empty. */
export function partsOf(text) {
  const parts = [];
  let end = 0;
  for (const { 0: all, 1: string, 2: colon, index } of text.matchAll(TOKEN)) {
    if (index > end) parts.push([text.slice(end, index), ""]);
    if (colon) parts.push([string, "key"], [colon, ""]);
    else if (string) parts.push([string, "string"]);
    else parts.push([all, /[\d]/.test(all) ? "number" : "word"]);
    end = index + all.length;
  }
  if (end < text.length) parts.push([text.slice(end), ""]);
  return parts;
}
