// A JSON Schema as what a form shows: for each value its kind, its parts, and what it begins with.
// Parts are found when they are asked for, because a schema may contain itself. No I/O.
//
// A node is { kind, schema, root, nullable, title, words, description }, and besides:
//   object  fields [{ name, required, schema }], open (whether other fields are allowed)
//   array   itemSchema(index), least, most
//   choice  options, schemas with a label each
//   enum    values
//   const   value
// The other kinds are string, number, integer, boolean, null, and json for what no form can show.

import { constraintWords, resolved, typeWords } from "../common/schema-fields.js";
import { stringify } from "./json.js";

const ARRAYS = ["items", "prefixItems", "minItems", "maxItems", "contains", "uniqueItems"];
const STRINGS = ["minLength", "maxLength", "pattern", "format"];
const NUMBERS = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];
const SIMPLE = ["string", "number", "integer", "boolean", "null"];
/** What options have in common with the schema around them. */
const OUTER = ["type", "properties", "required", "additionalProperties", "items"];

/** Formats whose fields have one line. */
export const ONE_LINE = new Set([
  "date", "time", "date-time", "email", "uri", "uuid", "hostname", "ipv4", "ipv6", "duration",
]);

export function nodeOf(schema, root = schema) {
  const whole = resolved(schema, root);
  const node = kindOf(whole, root);
  return {
    title: whole.title ?? "",
    description: whole.description ?? "",
    words: [typeWords(whole, root), constraintWords(whole, root)].filter(Boolean).join(" · "),
    nullable: false,
    ...node,
    schema: whole,
    root,
  };
}

function kindOf(schema, root) {
  if ("const" in schema) return { kind: "const", value: schema.const };
  if (schema.enum?.length) return { kind: "enum", values: schema.enum };
  if (schema.anyOf ?? schema.oneOf) return choiceOf(schema, root);
  if (Array.isArray(schema.type)) return typesOf(schema, root);
  const type = schema.type ?? impliedType(schema);
  if (type === "object") return objectOf(schema);
  if (type === "array") return arrayOf(schema);
  return { kind: SIMPLE.includes(type) ? type : "json" };
}

function impliedType(schema) {
  const has = (names) => names.some((name) => name in schema);
  if (schema.properties) return "object";
  if (has(ARRAYS)) return "array";
  if (has(STRINGS)) return "string";
  return has(NUMBERS) ? "number" : "";
}

function objectOf(schema) {
  const fields = Object.entries(schema.properties ?? {}).map(([name, each]) => ({
    name,
    required: schema.required?.includes(name) ?? false,
    schema: each,
  }));
  const open = schema.additionalProperties !== false && schema.unevaluatedProperties !== false;
  return fields.length ? { kind: "object", fields, open } : { kind: "json", begins: {} };
}

function arrayOf({ items = {}, prefixItems = [], minItems = 0, maxItems = Infinity }) {
  const most = items === false ? Math.min(prefixItems.length, maxItems) : maxItems;
  const itemSchema = (index) => prefixItems[index] ?? items;
  return { kind: "array", itemSchema, least: minItems, most };
}

function choiceOf(schema, root) {
  const { anyOf, oneOf, ...rest } = schema;
  const outer = Object.fromEntries(Object.entries(rest).filter(([name]) => OUTER.includes(name)));
  const isBare = Object.keys(outer).length === 0;
  const all = (anyOf ?? oneOf).map((each) => (isBare ? each : { allOf: [outer, each] }));
  const schemas = all.map((each) => resolved(each, root));
  return optionsOf(schemas, root);
}

const typesOf = (schema, root) =>
  optionsOf(schema.type.map((type) => ({ ...schema, type })), root);

function optionsOf(schemas, root) {
  const options = schemas.filter((each) => each.type !== "null" && each.const !== null);
  const nullable = options.length < schemas.length;
  if (options.length === 0) return { kind: "null" };
  if (options.length === 1) {
    const only = kindOf(options[0], root);
    return { ...only, nullable: nullable || only.nullable, inner: options[0] };
  }
  const values = options.flatMap((each) => ("const" in each ? [each.const] : (each.enum ?? [])));
  if (options.every((each) => "const" in each || each.enum)) {
    return { kind: "enum", values, nullable };
  }
  const labelled = options.map((each, index) => ({
    schema: each,
    label: each.title ?? constOf(each, root) ?? (typeWords(each, root) || `form ${index + 1}`),
  }));
  return { kind: "choice", options: unlike(labelled), nullable };
}

/** The value that tells an object of a union from the others. */
function constOf({ properties = {} }, root) {
  const found = Object.entries(properties)
    .map(([name, each]) => [name, resolved(each, root)])
    .find(([, each]) => typeof each.const === "string");
  return found && `${found[0]}: ${found[1].const}`;
}

function unlike(options) {
  const labels = options.map(({ label }) => label);
  const isTwice = (label) => labels.indexOf(label) !== labels.lastIndexOf(label);
  return options.map(({ schema, label }, index) => ({
    schema,
    label: isTwice(label) ? `${label} (${index + 1})` : label,
  }));
}

/** What a new value of this kind is; undefined: nothing, such as a number that nobody has named. */
export function initial(node, depth = 0) {
  const { kind, schema } = node;
  const begins = schema.default ?? node.inner?.default;
  if (begins !== undefined && (begins !== null || kind === "null")) return begins;
  if (kind === "object" && depth < 8) return initialObject(node, depth);
  if (kind === "array" && depth < 8) return initialArray(node, depth);
  if (kind === "choice" && depth < 8) return initial(nodeOf(node.options[0].schema, node.root), depth + 1);
  const simple = { string: "", boolean: false, null: null, const: node.value, enum: node.values?.[0] };
  return kind === "json" ? node.begins : simple[kind];
}

function initialObject({ fields, root }, depth) {
  const values = fields
    .filter(({ required }) => required)
    .map(({ name, schema }) => [name, initial(nodeOf(schema, root), depth + 1)])
    .filter(([, value]) => value !== undefined);
  return Object.fromEntries(values);
}

function initialArray({ itemSchema, least, root }, depth) {
  const items = Array.from({ length: Math.min(least, 10) }, (_, index) =>
    initial(nodeOf(itemSchema(index), root), depth + 1),
  );
  return items.map((each) => each ?? null);
}

export const isObject = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const isNumber = (value) => typeof value === "number" || typeof value === "bigint";
const same = (one, other) => stringify(one) === stringify(other);

/** Whether the form of this node can hold the value; that of its parts decide for themselves. */
export function holds(node, value) {
  if (value === null) return node.nullable || node.kind === "null";
  const { kind, values, schema, inner } = node;
  if (kind === "const") return same(value, node.value);
  if (kind === "enum") return values.some((each) => same(each, value));
  if (kind === "string") return typeof value === "string" && keepsText(value, inner ?? schema);
  if (kind === "number" || kind === "integer") return isNumber(value);
  if (kind === "boolean") return typeof value === "boolean";
  if (kind === "object") return isObject(value);
  if (kind === "array") return Array.isArray(value);
  if (kind === "choice") return optionFor(node, value) >= 0;
  return kind === "json";
}

/** Text fields change line ends, and those of dates take dates only. */
function keepsText(value, { format }) {
  if (format === "date" && !/^\d{4}-\d\d-\d\d$/.test(value)) return false;
  return !/\r/.test(value) && !(ONE_LINE.has(format) && /\n/.test(value));
}

/** The number of the option that fits the value best; -1 for none. */
export function optionFor({ options, root }, value) {
  const nodes = options.map(({ schema }) => nodeOf(schema, root));
  const whole = nodes.findIndex((node) => fits(node, value));
  return whole >= 0 ? whole : nodes.findIndex((node) => holds(node, value));
}

/** Whether the value, with all its parts, has the shape that the schema says. */
export function fits(node, value, depth = 0) {
  if (!holds(node, value)) return false;
  if (depth > 8 || value === null) return true;
  const { kind, fields, open, root, itemSchema } = node;
  const part = (schema, each) => fits(nodeOf(schema, root), each, depth + 1);
  if (kind === "integer") return typeof value === "bigint" || Number.isInteger(value);
  if (kind === "array") return value.every((each, index) => part(itemSchema(index), each));
  if (kind !== "object") return true;
  const names = new Set(fields.map(({ name }) => name));
  if (!open && Object.keys(value).some((name) => !names.has(name))) return false;
  return fields.every(({ name, required, schema }) =>
    Object.hasOwn(value, name) ? part(schema, value[name]) : !required,
  );
}

/** The steps of a JSON pointer (RFC 6901). */
export const stepsOf = (pointer) =>
  pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));

/**
 * Where a fault is: the steps to its place. The fault of a field that is missing has the pointer of
 * the object, and the field's name in its message.
 */
export function placeOf({ pointer = "", message = "" }) {
  const missing = /^"((?:[^"\\]|\\.)*)" is a required property/.exec(message);
  return missing ? [...stepsOf(pointer), JSON.parse(`"${missing[1]}"`)] : stepsOf(pointer);
}
