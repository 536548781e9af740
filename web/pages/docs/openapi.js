// An OpenAPI document as a page shows it: operations by tag, each with parameters, bodies and answers. No I/O.

import { constraintWords, fields, meaning, typeWords } from "./schema-fields.js";

const METHODS = new Set(["get", "post", "put", "patch", "delete"]);
const DEFAULT = "any other";

/** [{tag, operations}], in the order of the document. Methods of a path that do the same are one operation. */
export function groups(document) {
  const found = new Map();
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of Object.keys(item).filter((each) => METHODS.has(each))) add(found, method, path, item, document);
  }
  return [...found].map(([tag, operations]) => ({ tag, operations: [...operations.values()] }));
}

function add(found, method, path, item, document) {
  const { operationId, tags, ...same } = item[method];
  const tag = tags?.[0] ?? "other";
  const operations = found.get(tag) ?? found.set(tag, new Map()).get(tag);
  const key = JSON.stringify([path, same]);
  if (operations.has(key)) operations.get(key).methods.push(method.toUpperCase());
  else operations.set(key, { methods: [method.toUpperCase()], path, ...described(same, item.parameters ?? [], document) });
}

function described({ summary = "", description = "", parameters = [], requestBody, responses = {} }, shared, document) {
  return {
    summary,
    description,
    parameters: [...shared, ...parameters].map((each) => parameter(each, document)).sort((a, b) => (b.in === "path") - (a.in === "path")),
    bodies: media(requestBody?.content, document),
    answers: Object.entries(responses)
      .map(([status, answer]) => ({ status: status === "default" ? DEFAULT : status, ...answered(answer, document) }))
      .sort((a, b) => (a.status === DEFAULT) - (b.status === DEFAULT) || a.status.localeCompare(b.status)),
  };
}

function parameter({ name, in: place, required, description, schema = {} }, root) {
  return {
    name,
    in: place,
    type: typeWords(schema, root),
    required: required ? "yes" : "no",
    constraints: constraintWords(schema, root),
    description: description ?? meaning(schema, root),
  };
}

function answered({ description = "", content }, document) {
  return { description, media: media(content, document) };
}

/** [{type, schemas, description}]; `schemas` are the names of shared ones that it may be, see schemas(). */
function media(content = {}, root) {
  return Object.entries(content).map(([type, { schema }]) => ({
    type,
    schemas: (schema?.anyOf ?? [schema]).flatMap((each) => each?.$ref?.split("/").at(-1) ?? []),
    description: schema && !schema.$ref ? meaning(schema, root) : "",
  }));
}

/** [{name, description, fields}]: the shared schemas. */
export function schemas(document) {
  return Object.entries(document.components?.schemas ?? {}).map(([name, schema]) => ({
    name,
    description: schema.description ?? "",
    fields: fields(schema, document),
  }));
}
