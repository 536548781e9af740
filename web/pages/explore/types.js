// Channel types for people: what they are, and their schemas as tables of fields.

import { describeRules, describeType } from "../common/channel-type.js";
import { clone, link } from "../common/dom.js";
import { addressOf } from "../common/place.js";
import { constraintWords, fields, meaning, typeWords } from "../common/schema-fields.js";
import { exploredChannel } from "./addresses.js";
import { showJson } from "./json-view.js";

/** The channel types. */
export async function readTypes(http) {
  const response = await http.types();
  if (!response.ok) throw new Error(`GET /v1/types answered ${response.status}`);
  return (await response.json()).types;
}

/** A channel type with its schemas; null if the server has none of this name. */
export async function readType(name) {
  const response = await fetch(addressOf(`v1/types/${encodeURIComponent(name)}`), {
    credentials: "omit",
  });
  return response.ok ? response.json() : null;
}

/** An entry that opens. Its schemas are read then. */
export function typeEntry(type) {
  const made = clone("type");
  made.querySelector("code").textContent = type.name;
  made.querySelector(".muted").textContent = describeType(type);
  made.addEventListener("toggle", async () => {
    const body = made.querySelector(".type-body");
    if (!made.open || body.childElementCount) return;
    body.replaceChildren(...schemaView(await readType(type.name)), links(type.name));
  });
  return made;
}

function links(name) {
  const made = element("p");
  const channel = `${name}.>`;
  made.className = "links";
  made.append(link(`Follow ${channel}`, exploredChannel(channel)), link("As JSON", addressOf(`v1/types/${name}`)));
  return made;
}

/** What an event of this type is: sentences, tables of fields, and the JSON Schema. */
export function schemaView(type) {
  if (type === null) return [element("p", "The server has no such channel type.")];
  const { accepted, stored, signal } = type.schemas;
  const parts = [rules(type, accepted), fieldsOf("An event", accepted)];
  if (JSON.stringify(fields(stored)) !== JSON.stringify(fields(accepted))) {
    parts.push(fieldsOf("An event as it is stored", stored));
  }
  if (signal && JSON.stringify(signal) !== JSON.stringify(accepted)) {
    parts.push(fieldsOf("A signal", signal));
  }
  return [...parts, raw(type.schemas)];
}

function rules(type, accepted) {
  const { key, sender, signals } = type;
  const closed = accepted.additionalProperties === false && fields(accepted).length > 0;
  const words = [
    accepted.description,
    describeRules(type),
    key && `The key of an event is ${key}.`,
    sender === "principal" && "The sender must be the name of the principal.",
    signals.length > 0 && `Signals come from: ${signals.join(", ")}.`,
    closed && "Other fields are refused.",
  ];
  const made = element("p", words.filter(Boolean).join(" "));
  made.className = "muted";
  return made;
}

function fieldsOf(title, schema) {
  const rows = fields(schema);
  const made = element("div");
  made.className = "fields";
  made.append(element("strong", title));
  if (rows.length) {
    const list = element("dl");
    list.append(...rows.map(fieldEntry));
    made.append(list);
  } else {
    const words = [typeWords(schema, schema), constraintWords(schema, schema), meaning(schema, schema)];
    made.append(element("p", words.filter(Boolean).join(" · ")));
  }
  return made;
}

function fieldEntry({ name, type, required, constraints, description }) {
  const made = element("div");
  const term = element("dt");
  const need = element("span", required === "yes" ? "required" : "optional");
  need.className = `need ${need.textContent}`;
  term.append(element("code", name), element("span", type), need);
  made.append(term);
  const words = [description, constraints].filter(Boolean);
  if (words.length) made.append(element("dd", words.join(" · ")));
  return made;
}

function raw(schemas) {
  const made = element("details");
  const text = element("pre");
  made.className = "raw";
  showJson(text, JSON.stringify(schemas, null, 2));
  made.append(element("summary", "JSON Schema"), text);
  return made;
}

function element(name, text = "") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
