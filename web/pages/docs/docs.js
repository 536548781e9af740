// The API page: the server's own OpenAPI document and channel types, readable, with nothing from elsewhere.

import { describeRules, describeType } from "../shared/channel-type.js";
import { entry, fieldTable, link, operation, paragraph, section } from "./view.js";
import { groups, schemas } from "./openapi.js";
import { sampleChannel } from "../shared/samples.js";
import { fields, typeWords } from "./schema-fields.js";

const byId = (id) => document.getElementById(id);
const capital = (word) => word.charAt(0).toUpperCase() + word.slice(1);

async function load(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`GET /${path} answered ${answer.status}`);
  return answer.json();
}

function showOperations(api) {
  byId("version").textContent = api.info?.version ?? "";
  byId("description").textContent = api.info?.description ?? "";
  for (const { tag, operations } of groups(api)) {
    const group = section(capital(tag), `tag-${tag}`);
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

function channelType(type) {
  const { name, schemas: { accepted: payload, stored } } = type;
  const rows = fields(payload);
  const written = fields(stored);
  const made = entry(name, describeType(type), `type-${name}`);
  const closed = payload.additionalProperties === false && rows.length ? "Other fields are refused." : "";
  const about = [payload.description, describeRules(type), closed].filter(Boolean).join(" ");
  if (about) made.append(paragraph(about));
  if (rows.length) made.append(fieldTable("Fields of an event's data", rows));
  else made.append(paragraph(`An event's data is ${typeWords(payload, payload)}.`));
  if (JSON.stringify(written) !== JSON.stringify(rows)) made.append(fieldTable("Fields of what is stored", written));
  const explore = `explore?${new URLSearchParams({ channel: sampleChannel(name), since: "-50" })}`;
  const links = paragraph(link(`Explore ${sampleChannel(name)}`, explore), link("JSON Schemas", `v1/types/${encodeURIComponent(name)}`));
  links.className = "links";
  made.append(links);
  return made;
}

async function showTypes() {
  const { types } = await load("v1/types");
  const whole = await Promise.all(types.map(({ name }) => load(`v1/types/${encodeURIComponent(name)}`)));
  byId("channel-types").append(...whole.map(channelType));
  byId("channel-types").hidden = false;
}

function showContents() {
  const headings = [...document.querySelectorAll("main h2")].filter((heading) => !heading.closest("[hidden]"));
  byId("contents").append(...headings.map((heading) => link(heading.textContent, `#${heading.closest("section").id}`)));
}

function complain({ message }) {
  byId("problem").textContent = `Not all can be shown: ${message}. Reload to try again.`;
  byId("problem").hidden = false;
}

await Promise.all([load("openapi.json").then(showOperations).catch(complain), showTypes().catch(complain)]);
byId("operations").removeAttribute("aria-busy");
showContents();
// The browser looked for the fragment before there was anything.
if (location.hash) document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
