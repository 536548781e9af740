// Values as literals of languages and of the shell. No I/O.

/** An argument of a POSIX shell. */
export function shell(text) {
  if (/^[\w@%+=:,./-]+$/.test(text)) return text;
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A double-quoted argument in which the shell replaces this variable, and nothing else. */
export const withVariable = (before, variable) => `"${before.replace(/[\\"$`]/g, "\\$&")}$${variable}"`;

const JAVASCRIPT = {
  words: { true: "true", false: "false", null: "null" },
  integer: (digits) => `JSON.rawJSON("${digits}")`, // a number would round it
  // In a literal, this name would be the prototype.
  name: (name) => (name === "__proto__" ? `["__proto__"]` : JSON.stringify(name)),
};
const PYTHON = {
  words: { true: "True", false: "False", null: "None" },
  integer: (digits) => digits,
  name: (name) => JSON.stringify(name),
};

/** Characters: a shorter literal is one line. */
const ONE_LINE = 60;

export const javascript = (value) => literal(value, JAVASCRIPT, "");
export const python = (value) => literal(value, PYTHON, "");

// The strings of JSON are strings of both languages, too.
function literal(value, language, indent) {
  if (typeof value === "bigint") return language.integer(String(value));
  if (value === null || typeof value === "boolean") return language.words[String(value)];
  if (typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}    `;
  const isList = Array.isArray(value);
  const parts = isList
    ? value.map((each) => literal(each, language, inner))
    : Object.entries(value).map(
        ([name, each]) => `${language.name(name)}: ${literal(each, language, inner)}`,
      );
  const [open, close] = isList ? "[]" : "{}";
  const line = `${open}${parts.join(", ")}${close}`;
  if (line.length <= ONE_LINE && !line.includes("\n")) return line;
  return `${open}\n${parts.map((part) => `${inner}${part},\n`).join("")}${indent}${close}`;
}
