// The page of readings: the newest values of the sensors of some channels, and charts of them.

import "../../client/patterns.js"; // with the first load, as nearly all addresses need them
import "../../client/state.js";
import { byId } from "../common/dom.js";
import { Live } from "../common/live.js";
import { partsOf, resolvePatterns } from "../common/patterns.js";
import { addressOf, namedInAddress } from "../common/place.js";
import { ageOf } from "../common/time-range.js";
import { Charts } from "./charts.js";
import { limitsFrom, limitsText, number } from "./limits.js";
import { showPageState } from "./page-state.js";
import { Sensors } from "./sensors.js";
import { Tiles } from "./tiles.js";
import { Timeline } from "./timeline.js";
import { unitName } from "./words.js";

/** Milliseconds between two drawings. */
const PAUSE = 100;
/** Milliseconds after the last move before history is loaded. */
const WAIT = 300;
const USUAL = "15m";
/** What the address of a channel type without keys begins with, to have the newest values. */
const NEWEST = "-50";

const named = namedInAddress();
const query = new URLSearchParams(location.search);
const limits = limitsFrom(query.get("limits"));
const sensors = new Sensors();
let patterns = [];
let fault = null;
let timer = null;
let moving = null;
let readings = 0;
let measured = { readings: 0, at: performance.now() };

const timeline = new Timeline(ageOf(query.get("since")) ?? ageOf(USUAL));
const tiles = new Tiles(byId("tiles"), drawSoon);
const charts = new Charts(byId("charts"), { move });
const live = new Live(byId("range"), showState);
/** Ranges of time that are on the page: all since the charts began, and what was loaded. */
const loaded = [];
let older = null; // what loads them, see history.js

/** Follows: first the newest value of each sensor, then what the charts show and what comes. */
function follow(types) {
  const keyed = types?.filter(({ payload }) => payload === "reading").every(({ key }) => key);
  const handlers = { onEvent: add, onGap };
  const begin = () => {
    const now = Date.now();
    const from = timeline.at(now).from;
    const span = now - from;
    const seconds = Math.ceil(span / 1000) + 60;
    loaded.splice(0, Infinity, { from, to: Infinity });
    const onReplayed = () => {
      // Without a network in the meantime, the age began later than it was asked for.
      loaded[0].from = Date.now() - span;
      drawSoon();
    };
    live.follow(patterns, { ...handlers, since: `${seconds}s`, onReplayed });
  };
  live.follow(patterns, { ...handlers, since: keyed ? "state" : NEWEST, onReplayed: begin });
}

function add(event, { replay }) {
  if (!replay) readings += 1; // history is no rate
  sensors.add(event);
  drawSoon();
}

function onGap({ channel, reason, skipped }) {
  if (reason === "conflated" || reason === "slow") sensors.leftOut(channel, skipped, Date.now());
  drawSoon();
}

function drawSoon() {
  timer ??= setTimeout(() => requestAnimationFrame(draw), PAUSE);
}

function draw() {
  timer = null;
  const now = Date.now();
  showState();
  tiles.draw(sensors.all, limits, now);
  byId("beyond").hidden = sensors.beyond.size === 0;
  const more = sensors.beyond.size.toLocaleString("en");
  byId("beyond").textContent = `${more} more sensors are not shown: name fewer channels.`;
  if (!document.body.classList.contains("big")) {
    charts.draw(sensors, timeline.at(now), limits);
  }
  byId("live").setAttribute("aria-pressed", String(timeline.live));
}

/** Changes what the charts show, and loads what is missing. */
function move(change) {
  const now = Date.now();
  change(timeline, now);
  const { from, to } = timeline.at(now);
  byId("range").value = "fixed";
  draw();
  clearTimeout(moving);
  if (!patterns.length || loaded.some((each) => each.from <= from && each.to >= to)) return;
  const margin = (to - from) / 4;
  moving = setTimeout(() => load({ from: from - margin, to: to + margin }), WAIT);
}

/** Loads the readings of a range, in place of one that is being loaded. */
async function load(range) {
  const { loadRange } = await import("./history.js");
  older?.close();
  older = loadRange(patterns, range, live.token, add, () => {
    loaded.push(range);
    drawSoon();
  });
}

function showState() {
  if (!patterns.length && !fault) return;
  showPageState({ live, patterns, fault, sensors: sensors.all.length });
}

/** Once a second: ages, and the time that passes. */
function tick() {
  const now = performance.now();
  const rate = ((readings - measured.readings) * 1000) / (now - measured.at);
  measured = { readings, at: now };
  const count = sensors.all.length;
  const text = `${count} sensor${count === 1 ? "" : "s"} · ${rate.toFixed(rate < 10 ? 1 : 0)}/s`;
  const loads = count > 0 && live.state === "loading";
  byId("counts").textContent = loads ? `${text} · loading history…` : text;
  drawSoon();
}

/** When the form is opened: later, a person may be typing. */
function showUnits() {
  if (!byId("limits").open) return;
  const select = byId("limit-unit");
  const units = [...sensors.groups.keys()];
  select.replaceChildren(...units.map((unit) => new Option(unitName(unit) || "no unit", unit)));
  showLimit();
}

function showLimit() {
  const { low = null, high = null } = limits.get(byId("limit-unit").value) ?? {};
  byId("limit-low").value = low ?? "";
  byId("limit-high").value = high ?? "";
}

function setLimit(event) {
  event.preventDefault();
  const [low, high] = ["limit-low", "limit-high"].map((id) => number(byId(id).value));
  const unit = byId("limit-unit").value;
  if (low === null && high === null) limits.delete(unit);
  else limits.set(unit, { low, high });
  byId("limits").open = false;
  writeAddress();
  draw();
}

function setRange() {
  const since = byId("range").value;
  const span = ageOf(since);
  query.set("since", since);
  writeAddress();
  move((line) => line.follow(span));
  byId("range").value = since;
}

function setBig(big) {
  document.body.classList.toggle("big", big);
  byId("big").setAttribute("aria-pressed", String(big));
  if (big) query.set("big", "");
  else query.delete("big");
  writeAddress();
  draw();
}

function writeAddress() {
  if (limits.size) query.set("limits", limitsText(limits));
  else query.delete("limits");
  const text = String(query);
  history.replaceState(null, "", `${location.pathname}${text ? `?${text}` : ""}`);
}

async function begin() {
  const response = await live.http.types();
  const types = response.ok ? (await response.json()).types : null;
  if (types) ({ patterns, fault } = resolvePatterns(named, types, "reading", "iot"));
  else patterns = partsOf(named || "iot.>");
  const title = patterns.join(", ") || named;
  byId("title").textContent = title;
  byId("open-channel").value = patterns.join(",") || named;
  document.title = `${title} · Readings · EventHub`;
  if (fault) return showState();
  const own = types?.filter(({ name }) => patterns.some((each) => each.split(".")[0] === name));
  follow(own);
  setInterval(tick, 1000);
}

const known = [...byId("range").options].some(({ value }) => value === query.get("since"));
byId("range").value = known ? query.get("since") : USUAL;
byId("range").addEventListener("change", setRange);
byId("back").addEventListener("click", () => move((line, now) => line.pan(-0.5, now)));
byId("forth").addEventListener("click", () => move((line, now) => line.pan(0.5, now)));
byId("closer").addEventListener("click", () => move((line, now) => line.zoom(0.5, now)));
byId("wider").addEventListener("click", () => move((line, now) => line.zoom(2, now)));
byId("live").addEventListener("click", () => move((line) => line.follow()));
byId("big").addEventListener("click", () => setBig(!document.body.classList.contains("big")));
byId("limits").addEventListener("toggle", showUnits);
byId("limit-unit").addEventListener("change", showLimit);
byId("limit").addEventListener("submit", setLimit);
byId("open").addEventListener("submit", (event) => {
  event.preventDefault();
  location.assign(addressOf(`iot/${encodeURIComponent(byId("open-channel").value.trim())}`));
});
if (query.has("big")) setBig(true);
byId("title").textContent = named || "iot.>";
performance.mark("interactive");
await begin().catch((error) => {
  fault = `The channel types cannot be read: ${error.message}.`;
  showState();
});
