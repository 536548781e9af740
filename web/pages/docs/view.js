// The elements of the API page: tables, operations, entries. Their data come from openapi.js and
// schema-fields.js.

import { clone, link } from "../common/dom.js";

const NAME = { key: "name", title: "Name" };
const IN = { key: "in", title: "In" };
const TYPE = { key: "type", title: "Type" };
const REQUIRED = { key: "required", title: "Required" };
const CONSTRAINTS = { key: "constraints", title: "Constraints" };
const DESCRIPTION = { key: "description", title: "Description" };
const FIELDS = [NAME, TYPE, REQUIRED, CONSTRAINTS, DESCRIPTION];
const PARAMETERS = [NAME, IN, TYPE, REQUIRED, CONSTRAINTS, DESCRIPTION];
const BODIES = [{ key: "type", title: "Media type" }, DESCRIPTION];
const ANSWERS = [
  { key: "status", title: "Status" },
  DESCRIPTION,
  { key: "media", title: "Media types" },
];

/** A section with a heading, which is listed in the contents. */
export function section(title, id) {
  const made = clone("group");
  made.id = id;
  made.setAttribute("aria-labelledby", `${id}-title`);
  made.querySelector("h2").id = `${id}-title`;
  made.querySelector("h2").textContent = title;
  return made;
}

/** An operation: methods, path, summary, parameters, bodies, answers. */
export function operation({ methods, path, parameters, bodies, answers, ...words }) {
  const made = clone("operation");
  made.querySelector(".methods").append(...methods.flatMap(methodMark));
  made.querySelector(".path").append(...breakable(path));
  made.querySelector(".summary").textContent = [words.summary, words.description]
    .filter(Boolean)
    .join(". ");
  if (parameters.length) made.append(table("Parameters", PARAMETERS, parameters));
  if (bodies.length) made.append(table("Body", BODIES, bodies));
  if (answers.length) made.append(table("Answers", ANSWERS, answers.map(answerRow)));
  return made;
}

/** A name with a description. The caller appends the rest. */
export function entry(name, description, id) {
  const made = clone("entry");
  made.id = id;
  made.querySelector("code").textContent = name;
  made.querySelector("p").textContent = description;
  return made;
}

export const paragraph = (...content) => element("p", content);

export const fieldTable = (caption, rows) => table(caption, FIELDS, rows);

/** A column that is empty in every row is left out. A cell is a text or an element. */
function table(caption, columns, rows) {
  const made = clone("table");
  const used = columns.filter(({ key }) => rows.some((row) => row[key]));
  made.caption.textContent = caption;
  made.tHead.rows[0].append(...used.map(({ title }) => headerCell(title, "col")));
  for (const row of rows) {
    const [first, ...others] = used;
    const name = headerCell(element("code", row[first.key] || ""), "row");
    made.tBodies[0].append(element("tr", [name, ...others.map((column) => cell(column, row))]));
  }
  return made;
}

function headerCell(content, scope) {
  const made = element("th", content);
  made.scope = scope;
  return made;
}

function cell({ key, title }, row) {
  const content = row[key] || "";
  const made = element("td", content, key);
  // On a narrow screen each cell is a line, which begins with its title.
  if (content) made.dataset.label = title;
  return made;
}

function answerRow({ status, description, media }) {
  return { status, description, media: media.length ? element("ul", media.map(mediaItem)) : "" };
}

function mediaItem({ type, schemas }) {
  const links = schemas.map((schema) => link(schema, `#schema-${schema}`));
  const choices = links.flatMap((each, index) => [index ? " or " : " ", each]);
  return element("li", [element("code", type), ...choices]);
}

function methodMark(name) {
  const made = element("span", name, "method");
  made.dataset.method = name;
  return [made, " "];
}

/** The path, with a place after each slash where the line may break. */
function breakable(path) {
  return path.split(/(?<=\/)/).flatMap((part) => [part, document.createElement("wbr")]);
}

/** An element with this text, or with these children. */
function element(name, content, className = "") {
  const made = document.createElement(name);
  made.append(...[content].flat());
  made.className = className;
  return made;
}
