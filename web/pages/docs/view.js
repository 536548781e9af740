// The pieces of the API page: tables, operations, entries. They take what openapi.js and schema-fields.js made of the documents.

const byId = (id) => document.getElementById(id);
const clone = (id) => byId(id).content.firstElementChild.cloneNode(true);

/** An element with this text, or with these children. */
function element(name, content, className = "") {
  const made = document.createElement(name);
  made.append(...[content].flat());
  made.className = className;
  return made;
}

export function link(text, href) {
  const anchor = element("a", text);
  anchor.href = href;
  return anchor;
}

/** A table of `rows`; a column is {key, title}, and one that is empty in every row is left out. A cell is a text or an element. */
export function table(caption, columns, rows) {
  const made = clone("table");
  const used = columns.filter(({ key }) => rows.some((row) => row[key]));
  made.caption.textContent = caption;
  made.tHead.rows[0].append(...used.map(({ title }) => head(title, "col")));
  for (const row of rows) made.tBodies[0].append(element("tr", used.map((column, index) => cell(column, row, index === 0))));
  return made;
}

function head(content, scope) {
  const made = element("th", content);
  made.scope = scope;
  return made;
}

function cell({ key, title }, row, first) {
  const content = row[key] || "";
  if (first) return head(element("code", content), "row");
  const made = element("td", content, key);
  // On a narrow screen the cell stands alone, with this before it.
  if (content) made.dataset.label = title;
  return made;
}

const REQUIRED = { key: "required", title: "Required" };
const TYPE = { key: "type", title: "Type" };
const CONSTRAINTS = { key: "constraints", title: "Constraints" };
const DESCRIPTION = { key: "description", title: "Description" };
const NAME = { key: "name", title: "Name" };
const FIELDS = [NAME, TYPE, REQUIRED, CONSTRAINTS, DESCRIPTION];
const PARAMETERS = [NAME, { key: "in", title: "In" }, TYPE, REQUIRED, CONSTRAINTS, DESCRIPTION];
const BODIES = [{ key: "type", title: "Media type" }, DESCRIPTION];
const ANSWERS = [{ key: "status", title: "Status" }, DESCRIPTION, { key: "media", title: "Media types" }];

export const fieldTable = (caption, rows) => table(caption, FIELDS, rows);

/** An operation: method, path, summary, then what goes in and what comes out. */
export function operation({ methods, path, summary, description, parameters, bodies, answers }) {
  const made = clone("operation");
  made.querySelector(".methods").append(...methods.flatMap(method));
  // A path may break after each slash.
  made.querySelector(".path").append(...path.split(/(?<=\/)/).flatMap((part) => [part, document.createElement("wbr")]));
  made.querySelector(".summary").textContent = [summary, description].filter(Boolean).join(". ");
  if (parameters.length) made.append(table("Parameters", PARAMETERS, parameters));
  if (bodies.length) made.append(table("Body", BODIES, bodies));
  if (answers.length) made.append(table("Answers", ANSWERS, answers.map(answer)));
  return made;
}

function method(name) {
  const made = element("span", name, "method");
  made.dataset.method = name;
  return [made, " "];
}

function answer({ status, description, media }) {
  const types = media.map(({ type, schemas }) =>
    element("li", [element("code", type), ...schemas.flatMap((schema, index) => [index ? " or " : " ", link(schema, `#schema-${schema}`)])]),
  );
  return { status, description, media: types.length ? element("ul", types) : "" };
}

/** Something with a name and a line about it; what belongs to it is appended. */
export function entry(name, about, id) {
  const made = clone("entry");
  made.id = id;
  made.querySelector("code").textContent = name;
  made.querySelector("p").textContent = about;
  return made;
}

export function paragraph(...content) {
  return element("p", content);
}

/** A section with its heading, which the contents list. */
export function section(title, id) {
  const made = clone("group");
  made.id = id;
  made.setAttribute("aria-labelledby", `${id}-title`);
  made.querySelector("h2").id = `${id}-title`;
  made.querySelector("h2").textContent = title;
  return made;
}
