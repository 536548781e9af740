// An OpenAPI document as the page shows it: operations by tag, and shared schemas. No I/O.

import { constraintWords, fields, meaning, typeWords } from "../common/schema-fields.js";

const METHODS = new Set(["get", "post", "put", "patch", "delete"]);
const DEFAULT = "any other";

/**
 * [{tag, operations}], in the order of the document. Two methods of a path that are described
 * alike are one operation.
 */
export function groups(document) {
  const tags = new Map();
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    const methods = Object.keys(item).filter((each) => METHODS.has(each));
    for (const method of methods) addOperation(tags, method, path, item, document);
  }
  return [...tags].map(([tag, operations]) => ({ tag, operations: [...operations.values()] }));
}

function addOperation(tags, method, path, item, document) {
  const { operationId, tags: names, ...description } = item[method];
  const tag = names?.[0] ?? "other";
  if (!tags.has(tag)) tags.set(tag, new Map());
  const operations = tags.get(tag);
  const key = JSON.stringify([path, description]);
  if (!operations.has(key)) {
    const shown = describe(description, item.parameters ?? [], document);
    operations.set(key, { methods: [], path, ...shown });
  }
  operations.get(key).methods.push(method.toUpperCase());
}

function describe(operation, pathParameters, document) {
  const { summary = "", description = "", parameters = [], requestBody } = operation;
  const pathFirst = (a, b) => (b.in === "path") - (a.in === "path");
  return {
    summary,
    description,
    parameters: [...pathParameters, ...parameters]
      .map((each) => describeParameter(each, document))
      .sort(pathFirst),
    bodies: describeMedia(requestBody?.content, document),
    answers: describeAnswers(operation.responses ?? {}, document),
  };
}

function describeParameter({ name, in: place, required, description, schema = {} }, root) {
  return {
    name,
    in: place,
    type: typeWords(schema, root),
    required: required ? "yes" : "no",
    constraints: constraintWords(schema, root),
    description: description ?? meaning(schema, root),
  };
}

function describeAnswers(responses, document) {
  const defaultLast = (a, b) =>
    (a.status === DEFAULT) - (b.status === DEFAULT) || a.status.localeCompare(b.status);
  return Object.entries(responses)
    .map(([status, { description = "", content }]) => ({
      status: status === "default" ? DEFAULT : status,
      description,
      media: describeMedia(content, document),
    }))
    .sort(defaultLast);
}

/** [{type, schemas, description}]. `schemas`: names of shared schemas, one of which it is. */
function describeMedia(content = {}, root) {
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
