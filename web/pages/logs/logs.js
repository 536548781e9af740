// The page of logs: the newest lines of the channels that its address names, live.

import "../../client/patterns.js"; // with the first load, as most addresses need it
import { byId } from "../common/dom.js";
import { Live } from "../common/live.js";
import { partsOf, resolvePatterns } from "../common/patterns.js";
import { addressOf, namedInAddress } from "../common/place.js";
import { ageOf, beginningOf } from "../common/time-range.js";
import { Details } from "./details.js";
import { Filters } from "./filters.js";
import { Histogram } from "./histogram.js";
import { LevelCounts } from "./level-counts.js";
import { LineList } from "./line-list.js";
import { gapLine, lineOf } from "./line.js";
import { KEPT, Lines } from "./lines.js";
import { Services } from "./services.js";
import { showPageState } from "./page-state.js";
import { Tail } from "./tail.js";
import { queryOf, viewFrom } from "./view.js";
import { whereOf } from "./where.js";

/** Milliseconds between two drawings of the counts and the histogram. */
const PAUSE = 250;

const named = namedInAddress();
let patterns = [];
let fault = null;
let ended = false;
let timer = null;
let measured = { total: 0, at: performance.now() };

const view = viewFrom(new URLSearchParams(location.search));
const counts = new LevelCounts();
const list = new LineList(byId("scroller"), {
  select: (line) => details.open && details.show(line),
  open: (line) => details.show(line),
  key: onKey,
  drawn: showNewer,
  hueOf: (channel) => services.hueOf(channel),
});
const lines = new Lines((line) => list.height(line));
const tail = new Tail(lines, () => list.scheduleLater());
list.show(lines, tail);
const services = new Services(byId("services"), view.services, (selected) =>
  change({ services: selected }),
);
const details = new Details({
  filter: (expression) => filters.add(expression),
  only: (channel) => services.only(channel),
  linkTo: ({ channel, id }) =>
    `${location.href.split("?")[0]}?${queryOf({ ...view, event: { channel, id } })}`,
  close: () => byId("scroller").focus(),
  say: (text) => (byId("said").textContent = text),
});
const histogram = new Histogram(byId("histogram"), {
  caption: byId("caption"),
  labels: [byId("begin"), byId("end")],
  onRange: (from, to) => filters.setRange({ from, to }),
});
const filters = new Filters(view, change, (wrap) => setWrap(wrap));
const live = new Live(byId("text"), () => {
  showState();
  drawSoon();
});

/** Follows the channels as the view says, from the beginning of its range. */
function follow() {
  tail.clear();
  counts.clear();
  services.reset();
  ended = false;
  const { since, from, to } = beginningOf(view.range, Date.now());
  live.follow(patterns, {
    since,
    where: whereOf({ ...view, from, to }),
    onEvent: add,
    onGap: (gap) => tail.add(gapLine(gap, newest())),
    onFilterFailed: ({ reason }) => filters.warn(reason),
    onReplayed,
  });
}

function add(event) {
  const line = lineOf(event);
  counts.add(line.at, line.level);
  services.count(line.channel);
  tail.add(line);
  drawSoon();
}

const newest = () => lines.at(lines.length - 1)?.at ?? Date.now();

/** All history is there. A range that ends is not followed any further. */
function onReplayed() {
  ended = view.range.from !== undefined;
  if (ended) live.stop();
  if (view.event) selectEvent(view.event);
  drawSoon();
}

function selectEvent({ channel, id }) {
  const found = lines.find(channel, id);
  if (found < 0) return filters.warn(`The line ${id} of ${channel} is no longer kept.`);
  list.select(lines.at(found));
  details.show(lines.at(found));
}

/** Changes the view, its address, and what is followed. */
function change(changes) {
  Object.assign(view, { event: null }, changes);
  writeAddress();
  filters.warn("");
  if (patterns.length) follow();
}

function setWrap(wrap) {
  view.wrap = list.wrap = wrap;
  writeAddress();
  list.layout();
}

function writeAddress() {
  const query = String(queryOf(view));
  history.replaceState(null, "", `${location.pathname}${query ? `?${query}` : ""}`);
}

function onKey(event) {
  const actions = {
    c: () => list.selected && details.copy(list.selected),
    w: () => filters.toggleWrap(),
    "/": () => byId("text").focus(),
    Escape: () => details.close(),
  };
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

function showNewer() {
  const { fresh } = tail;
  byId("newer").hidden = !tail.held || (!fresh && !live.connection);
  const many = fresh === 1 ? "1 new line" : `${fresh.toLocaleString("en")} new lines`;
  byId("newer").textContent = fresh ? `${many} ↓` : "To the newest ↓";
}

function showState() {
  if (!patterns.length && !fault) return;
  showPageState({ live, patterns, fault, ended, lines: lines.length, view });
}

function drawSoon() {
  timer ??= setTimeout(draw, PAUSE);
}

function draw() {
  timer = null;
  showState();
  if (live.state === "loading" && counts.total === 0) return;
  services.draw();
  const now = performance.now();
  const rate = ((counts.total - measured.total) * 1000) / (now - measured.at);
  measured = { total: counts.total, at: now };
  const total = `${counts.total.toLocaleString("en")} line${counts.total === 1 ? "" : "s"}`;
  const kept = counts.total > KEPT ? ` · newest ${KEPT.toLocaleString("en")} kept` : "";
  const speed = Math.round(Math.max(0, rate)).toLocaleString("en");
  const isLive = live.state === "live" && !ended;
  byId("counts").textContent = isLive ? `${total} · ${speed}/s${kept}` : total + kept;
  const { from, to } = shownRange();
  if (from < to) histogram.show(from, to, counts.bars(from, to, histogram.most));
  if (isLive) drawSoon();
}

/** The time from the left to the right of the histogram. */
function shownRange() {
  const { since, from, to } = view.range;
  if (from !== undefined) return { from, to };
  const now = Date.now();
  const age = ageOf(since);
  const begin = counts.begin ?? now - 60_000;
  return { from: age === null ? Math.min(begin, now - 60_000) : now - age, to: now };
}

/** The range around a line that a link names. */
async function rangeAround({ channel, id }) {
  const [epoch, offset] = id.split("-");
  const since = `${epoch}-${BigInt(offset) - 1n}`;
  const response = await live.http.history(channel, { since, limit: 1 });
  const event = response.ok && (await response.json()).events[0];
  if (!event || event.id !== id) return null;
  const time = Date.parse(event.time);
  return { from: time - 60_000, to: time + 60_000 };
}

async function begin() {
  const response = await live.http.types();
  const types = response.ok ? (await response.json()).types : null;
  if (types) ({ patterns, fault } = resolvePatterns(named, types, "log", "logs"));
  else patterns = partsOf(named || "logs.>");
  byId("title").textContent = patterns.join(", ") || named;
  byId("open-channel").value = patterns.join(",") || named;
  document.title = `${patterns.join(", ") || named} · Logs · EventHub`;
  if (view.event) {
    const range = await rangeAround(view.event).catch(() => null);
    if (range) filters.showRange((view.range = range));
  }
  if (fault) showState();
  else follow();
  drawSoon();
  suggest();
}

/** Offers channels that have events, and the pattern of all. */
async function suggest() {
  const response = await live.http.channels({ match: patterns[0] ?? ">", limit: 200 });
  if (!response.ok) return;
  const { channels } = await response.json();
  const names = [...patterns, ...channels.map(({ name }) => name)];
  byId("channel-names").replaceChildren(...new Set(names).values().map((name) => new Option(name)));
}

byId("newer").addEventListener("click", () => list.follow());
byId("open").addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(addressOf(`logs/${encodeURIComponent(byId("open-channel").value.trim())}`));
});
list.wrap = view.wrap;
list.layout();
byId("title").textContent = named || "logs.>";
performance.mark("interactive");
await begin().catch((error) => {
  fault = `The channel types cannot be read: ${error.message}.`;
  showState();
});
