// The API page: the server's OpenAPI document and its channel types, without external requests.

import { describeRules, describeType } from "../common/channel-type.js";
import { byId, link } from "../common/dom.js";
import { sampleChannel } from "../common/samples.js";
import { groups, schemas } from "./openapi.js";
import { fields, typeWords } from "../common/schema-fields.js";
import { entry, fieldTable, operation, paragraph, section } from "./view.js";

async function load(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`GET /${path} answered ${response.status}`);
  return response.json();
}

async function showOperations() {
  const api = await load("openapi.json");
  byId("version").textContent = api.info?.version ?? "";
  byId("description").textContent = api.info?.description ?? "";
  for (const { tag, operations } of groups(api)) {
    const title = tag.charAt(0).toUpperCase() + tag.slice(1);
    const group = section(title, `tag-${tag}`);
    group.append(...operations.map(operation));
    byId("operations").append(group);
  }
  const shared = schemas(api);
  byId("schemas").append(...shared.map(schema));
  byId("schemas").hidden = shared.length === 0;
}

function schema({ name, description, fields: rows }) {
  const made = entry(name, description, `schema-${name}`);
  if (rows.length) made.append(fieldTable("Fields", rows));
  return made;
}

async function showTypes() {
  const { types } = await load("v1/types");
  const details = types.map(({ name }) => load(`v1/types/${encodeURIComponent(name)}`));
  byId("channel-types").append(...(await Promise.all(details)).map(channelType));
  byId("channel-types").hidden = false;
}

function channelType(type) {
  const {
    name,
    schemas: { accepted, stored },
  } = type;
  const made = entry(name, describeType(type), `type-${name}`);
  const rows = fields(accepted);
  const storedRows = fields(stored);
  const closed = accepted.additionalProperties === false && rows.length;
  const rules = [accepted.description, describeRules(type), closed && "Other fields are refused."];
  const words = rules.filter(Boolean).join(" ");
  if (words) made.append(paragraph(words));
  if (rows.length) made.append(fieldTable("Fields of an event's data", rows));
  else made.append(paragraph(`An event's data is ${typeWords(accepted, accepted)}.`));
  if (JSON.stringify(storedRows) !== JSON.stringify(rows)) {
    made.append(fieldTable("Fields of a stored event", storedRows));
  }
  made.append(typeLinks(name));
  return made;
}

function typeLinks(name) {
  const channel = sampleChannel(name);
  const links = paragraph(
    link(`Explore ${channel}`, `explore/${channel}`),
    link("JSON Schemas", `v1/types/${encodeURIComponent(name)}`),
  );
  links.className = "links";
  return links;
}

function showContents() {
  const headings = [...document.querySelectorAll("main h2")];
  const shown = headings.filter((heading) => !heading.closest("[hidden]"));
  const target = (heading) => `#${heading.closest("section").id}`;
  byId("contents").append(...shown.map((heading) => link(heading.textContent, target(heading))));
}

function showProblem({ message }) {
  byId("problem").textContent = `Not everything can be shown: ${message}. Reload to try again.`;
  byId("problem").hidden = false;
}

await Promise.all([showOperations().catch(showProblem), showTypes().catch(showProblem)]);
byId("operations").removeAttribute("aria-busy");
showContents();
// The browser looked for the fragment's target before the page had any content.
const target = decodeURIComponent(location.hash.slice(1));
if (target) document.getElementById(target)?.scrollIntoView();
performance.mark("interactive");
