// The channels of this server with their rates, and its channel types. It asks every two seconds,
// and not while it is hidden.

import { TOKEN_ERRORS, EventHubError } from "../../client/errors.js";
import { Http } from "../../client/http.js";
import { byId } from "../common/dom.js";
import { SERVER } from "../common/place.js";
import { showState } from "../common/state-view.js";
import { StatusView } from "../common/status.js";
import { Token } from "../common/token.js";
import { exploredChannel } from "./addresses.js";
import { readChannels, searchOf } from "./channel-search.js";
import { ChannelTable } from "./channel-table.js";
import { readTypes, typeEntry } from "./types.js";

const EVERY = 2_000;
/** Of the time, at most a part of so much is spent on asking. */
const SHARE = 10;

let table;
let token;
let status;
let http;
let pages = [undefined]; // where each page begins that was read up to the one that is shown
let next = null;
let timer = null;
let asked = 0;

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  const mine = (asked += 1);
  const began = performance.now();
  try {
    const search = searchOf(byId("search").value);
    const found = await readChannels(readPage, { ...search, after: pages.at(-1) });
    if (mine !== asked) return;
    show(found, search);
  } catch (error) {
    if (mine !== asked) return;
    fail(error);
  }
  timer = setTimeout(look, Math.max(EVERY, (performance.now() - began) * SHARE));
}

async function readPage(query) {
  const response = await http.channels(query);
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) {
    throw new EventHubError(answer.code ?? `status ${response.status}`, answer.detail ?? "");
  }
  table.serverTime(Date.parse(response.headers.get("date") ?? ""));
  return answer;
}

function show({ channels, next: following, complete, looked }, { match, part }) {
  token.done();
  status.show({ state: "open" });
  showFault("");
  next = following;
  table.show(channels);
  byId("found").hidden = !channels.length;
  byId("incomplete").hidden = complete;
  showPages();
  const many = `${channels.length} channel${channels.length === 1 ? "" : "s"}`;
  const words = part && next && `${many} in the ${looked.toLocaleString("en")} after the last page`;
  say(words || (next || pages.length > 1 ? `${many} on page ${pages.length}` : many));
  byId("follow-found").href = exploredChannel(match);
  byId("follow-found").textContent = match === ">" ? "Follow all" : `Follow ${match}`;
  showState(byId("channels-state"), channels.length ? null : nothing(part, match));
}

function nothing(part, match) {
  if (part || match !== ">") {
    const text = "A channel is listed while it has events or subscribers.";
    return { kind: "empty", title: "No channel fits", text };
  }
  return {
    kind: "empty",
    title: "No channels yet",
    text: "A channel is born with its first event. Choose a type below, and publish one.",
  };
}

function showPages() {
  byId("pages").hidden = !next && pages.length === 1;
  byId("previous").disabled = pages.length === 1;
  byId("next").disabled = !next;
}

function fail(error) {
  if (TOKEN_ERRORS.has(error.code)) {
    status.show({ state: "stopped", reason: error.code.replaceAll("_", " ") });
    byId("found").hidden = true;
    say("");
    const title = "The channels cannot be shown";
    showState(byId("channels-state"), { kind: "refused", title, text: error.message });
    return token.ask(error);
  }
  if (error instanceof EventHubError) return showFault(error.message || error.code);
  status.show({ state: "waiting", seconds: EVERY / 1000, reason: error.message });
  if (!byId("found").hidden) return say("The server does not answer: these numbers are old");
  const title = "The server does not answer";
  showState(byId("channels-state"), { kind: "offline", title, text: "The page asks again by itself." });
}

function showFault(text) {
  byId("search-fault").hidden = !text;
  byId("search").setAttribute("aria-invalid", String(Boolean(text)));
  if (byId("search-fault").textContent !== text) byId("search-fault").textContent = text;
}

function say(text) {
  if (byId("looked").textContent !== text) byId("looked").textContent = text;
}

function find() {
  pages = [undefined];
  const match = byId("search").value.trim();
  history.replaceState(null, "", `explore${match ? `?${new URLSearchParams({ match })}` : ""}`);
  look();
}

async function showTypes() {
  const types = await readTypes(http).catch(() => []);
  byId("types").removeAttribute("aria-busy");
  byId("types").replaceChildren(...types.map((type) => typeEntry(type)));
}

/** Shows the channels that fit what the query of the address says. */
export function openOverview(query) {
  table = new ChannelTable(byId("channels"));
  token = new Token(byId("token"), byId("search"), look);
  status = new StatusView(byId("status"), look);
  http = new Http({ base: SERVER.href, token: () => token.value });
  byId("search").value = query.get("match") ?? "";
  byId("search").addEventListener("input", find);
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    find();
  });
  byId("next").addEventListener("click", () => turn(() => pages.push(next)));
  byId("previous").addEventListener("click", () => turn(() => pages.pop()));
  document.addEventListener("visibilitychange", look);
  look();
  showTypes();
}

function turn(change) {
  change();
  look();
}
