// A JSON Schema as rows of a table: which fields there are, what they may be, and what they mean. No I/O.

const DEEPEST = 5;
const NOTHING = {};

const json = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const unique = (values) => [...new Set(values.filter(Boolean))];

/** `schema` with its reference followed and its `allOf` merged; references lead into `root`. */
export function resolved(schema, root) {
  if (typeof schema !== "object" || schema === null) return schema === false ? { not: {} } : NOTHING;
  const seen = new Set();
  while (schema?.$ref?.startsWith("#") && !seen.has(schema.$ref)) {
    seen.add(schema.$ref);
    const { $ref, ...own } = schema;
    schema = { ...pointed(root, $ref), ...own };
  }
  const { allOf, ...rest } = schema;
  return allOf ? allOf.map((part) => resolved(part, root)).reduceRight(merged, rest) : schema;
}

function pointed(root, reference) {
  const steps = decodeURIComponent(reference.slice(1)).split("/").slice(1);
  return steps.reduce((node, step) => node?.[step.replaceAll("~1", "/").replaceAll("~0", "~")], root) ?? NOTHING;
}

const merged = (whole, part) => ({
  ...part,
  ...whole,
  ...((part.properties || whole.properties) && { properties: { ...part.properties, ...whole.properties } }),
  ...((part.required || whole.required) && { required: unique([...(part.required ?? []), ...(whole.required ?? [])]) }),
});

/** The schemas of which one must fit; a schema without a choice is the only one. */
function branches(schema, root) {
  const choice = schema.anyOf ?? schema.oneOf;
  return choice ? choice.flatMap((each) => branches(resolved(each, root), root)) : [schema];
}

/** What kind of value fits, in a few words: `string or null`, `array of number`. */
export function typeWords(schema, root, depth = 0) {
  const words = branches(resolved(schema, root), root).flatMap(({ type, items, properties, const: only, enum: values }) => {
    if (type === undefined && only !== undefined) return typeof only;
    if (type === undefined && values) return unique(values.map((value) => (value === null ? "null" : typeof value)));
    if (type === undefined && properties) return "object";
    if (type === "array" && items && depth < DEEPEST) return `array of ${typeWords(items, root, depth + 1)}`;
    return type ?? "any JSON";
  });
  return unique(words).join(" or ");
}

const RANGES = [["minLength", "maxLength", "character"], ["minItems", "maxItems", "item"], ["minProperties", "maxProperties", "field"]];

function range(least, most, unit) {
  const counted = (count) => `${count.toLocaleString("en")} ${unit}${count === 1 ? "" : "s"}`;
  if (least && most !== undefined) return least === most ? `exactly ${counted(most)}` : `${least.toLocaleString("en")} to ${counted(most)}`;
  if (most !== undefined) return `at most ${counted(most)}`;
  return least ? `at least ${counted(least)}` : "";
}

function limits(schema) {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf, pattern, format, uniqueItems, enum: values, const: only } = schema;
  const bounded = minimum !== undefined && maximum !== undefined;
  return [
    values && `one of ${values.map(json).join(", ")}`,
    only !== undefined && `exactly ${json(only)}`,
    ...RANGES.map(([least, most, unit]) => range(schema[least], schema[most], unit)),
    bounded && `${minimum} to ${maximum}`,
    !bounded && minimum !== undefined && `at least ${minimum}`,
    !bounded && maximum !== undefined && `at most ${maximum}`,
    exclusiveMinimum !== undefined && `more than ${exclusiveMinimum}`,
    exclusiveMaximum !== undefined && `less than ${exclusiveMaximum}`,
    multipleOf !== undefined && `a multiple of ${multipleOf}`,
    pattern && `matches ${pattern}`,
    format && `format ${format}`,
    uniqueItems && "no two alike",
  ];
}

/** What else must hold: `1 to 64 characters; default latest`. */
export function constraintWords(schema, root) {
  const whole = resolved(schema, root);
  const parts = branches(whole, root);
  const items = parts.filter((part) => part.items).flatMap((part) => branches(resolved(part.items, root), root).flatMap(limits));
  const fallback = whole.default === undefined || whole.default === null ? "" : `default ${json(whole.default)}`;
  return unique([...parts.flatMap(limits), ...items.filter(Boolean).map((words) => `each ${words}`), fallback]).join("; ");
}

/** What it means: its description, otherwise those of the schemas it may be. */
export function meaning(schema, root) {
  const whole = resolved(schema, root);
  return whole.description ?? unique(branches(whole, root).map(({ description, items }) => description ?? items?.description)).join(" ");
}

/** The fields of an object: {name, type, required, constraints, description}; those within others after them, as `address.street`. */
export function fields(schema, root = schema) {
  return within(schema, root, "", 0);
}

function within(schema, root, prefix, depth) {
  if (depth > DEEPEST) return [];
  return branches(resolved(schema, root), root).flatMap((part) => {
    if (part.items) return within(part.items, root, prefix.replace(/\.?$/, "[]."), depth + 1);
    return Object.entries(part.properties ?? {}).flatMap(([name, value]) => [
      {
        name: prefix + name,
        type: typeWords(value, root),
        required: part.required?.includes(name) ? "yes" : "no",
        constraints: constraintWords(value, root),
        description: meaning(value, root),
      },
      ...within(value, root, `${prefix}${name}.`, depth + 1),
    ]);
  });
}
