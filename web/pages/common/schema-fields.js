// A JSON Schema as rows of a table: fields, types, constraints, meanings. No I/O.

const MAX_DEPTH = 5;
const ANYTHING = {};
const NOTHING = { not: {} };

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const unique = (values) => [...new Set(values.filter(Boolean))];

/** `schema` with references (into `root`) resolved and `allOf` merged. */
export function resolved(schema, root) {
  if (typeof schema !== "object" || schema === null) return schema === false ? NOTHING : ANYTHING;
  const seen = new Set();
  while (schema?.$ref?.startsWith("#") && !seen.has(schema.$ref)) {
    seen.add(schema.$ref);
    const { $ref, ...own } = schema;
    schema = { ...followPointer(root, $ref), ...own };
  }
  const { allOf, ...rest } = schema;
  return allOf ? allOf.map((part) => resolved(part, root)).reduceRight(merge, rest) : schema;
}

function followPointer(root, reference) {
  const steps = decodeURIComponent(reference.slice(1)).split("/").slice(1);
  const unescape = (step) => step.replaceAll("~1", "/").replaceAll("~0", "~");
  return steps.reduce((node, step) => node?.[unescape(step)], root) ?? ANYTHING;
}

function merge(whole, part) {
  const merged = { ...part, ...whole };
  if (part.properties || whole.properties) {
    merged.properties = { ...part.properties, ...whole.properties };
  }
  if (part.required || whole.required) {
    merged.required = unique([...(part.required ?? []), ...(whole.required ?? [])]);
  }
  return merged;
}

/** The alternatives of `anyOf` or `oneOf`; without them, the schema alone. */
function alternatives(schema, root) {
  const choice = schema.anyOf ?? schema.oneOf;
  return choice ? choice.flatMap((each) => alternatives(resolved(each, root), root)) : [schema];
}

/** The type in words: `string or null`, `array of number`. */
export function typeWords(schema, root, depth = 0) {
  const parts = alternatives(resolved(schema, root), root);
  return unique(parts.flatMap((part) => partTypes(part, root, depth))).join(" or ");
}

function partTypes({ type, items, properties, const: only, enum: values }, root, depth) {
  if (type === "array" && items && depth < MAX_DEPTH) {
    return `array of ${typeWords(items, root, depth + 1)}`;
  }
  if (type !== undefined) return type;
  if (only !== undefined) return typeof only;
  if (values) return unique(values.map((value) => (value === null ? "null" : typeof value)));
  return properties ? "object" : "any JSON";
}

const RANGES = [
  ["minLength", "maxLength", "character"],
  ["minItems", "maxItems", "item"],
  ["minProperties", "maxProperties", "field"],
];

function range(least, most, unit) {
  const number = (count) => count.toLocaleString("en");
  const counted = (count) => `${number(count)} ${unit}${count === 1 ? "" : "s"}`;
  if (most === undefined) return least ? `at least ${counted(least)}` : "";
  if (!least) return `at most ${counted(most)}`;
  return least === most ? `exactly ${counted(most)}` : `${number(least)} to ${counted(most)}`;
}

function bounds({ minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf }) {
  const both = minimum !== undefined && maximum !== undefined;
  return [
    both && `${minimum} to ${maximum}`,
    !both && minimum !== undefined && `at least ${minimum}`,
    !both && maximum !== undefined && `at most ${maximum}`,
    exclusiveMinimum !== undefined && `more than ${exclusiveMinimum}`,
    exclusiveMaximum !== undefined && `less than ${exclusiveMaximum}`,
    multipleOf !== undefined && `a multiple of ${multipleOf}`,
  ];
}

function constraints(schema) {
  const { pattern, format, uniqueItems, enum: values, const: only } = schema;
  return [
    values && `one of ${values.map(text).join(", ")}`,
    only !== undefined && `exactly ${text(only)}`,
    ...RANGES.map(([least, most, unit]) => range(schema[least], schema[most], unit)),
    ...bounds(schema),
    pattern && `matches ${pattern}`,
    format && `format ${format}`,
    uniqueItems && "no two alike",
  ];
}

/** The constraints in words: `1 to 64 characters; default latest`. */
export function constraintWords(schema, root) {
  const whole = resolved(schema, root);
  const parts = alternatives(whole, root);
  const items = parts
    .filter((part) => part.items)
    .flatMap((part) => alternatives(resolved(part.items, root), root))
    .flatMap(constraints)
    .filter(Boolean);
  return unique([
    ...parts.flatMap(constraints),
    ...items.map((words) => `each ${words}`),
    whole.default == null ? "" : `default ${text(whole.default)}`,
  ]).join("; ");
}

/** The schema's description, otherwise those of its alternatives or their items. */
export function meaning(schema, root) {
  const whole = resolved(schema, root);
  if (whole.description != null) return whole.description;
  const parts = alternatives(whole, root);
  return unique(parts.map(({ description, items }) => description ?? items?.description)).join(" ");
}

/**
 * The fields of an object: {name, type, required, constraints, description}. A field of a field
 * follows it as `address.street`, a field of an array's items as `lines[].amount`.
 */
export function fields(schema, root = schema) {
  return fieldsWithin(schema, root, "", 0);
}

function fieldsWithin(schema, root, prefix, depth) {
  if (depth > MAX_DEPTH) return [];
  return alternatives(resolved(schema, root), root).flatMap((part) => {
    if (part.items) {
      return fieldsWithin(part.items, root, prefix.replace(/\.?$/, "[]."), depth + 1);
    }
    return Object.entries(part.properties ?? {}).flatMap(([name, value]) => [
      field(prefix + name, value, part.required?.includes(name), root),
      ...fieldsWithin(value, root, `${prefix}${name}.`, depth + 1),
    ]);
  });
}

function field(name, schema, required, root) {
  return {
    name,
    type: typeWords(schema, root),
    required: required ? "yes" : "no",
    constraints: constraintWords(schema, root),
    description: meaning(schema, root),
  };
}
