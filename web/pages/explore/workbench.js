// One channel or pattern, live, and the tools beside it.

import { byId } from "../common/dom.js";
import { Live } from "../common/live.js";
import { pageState, showBanner } from "../common/page-state.js";
import { addressOf, namedInAddress } from "../common/place.js";
import { samplePayloads } from "../common/samples.js";
import { showState } from "../common/state-view.js";
import { explored } from "./addresses.js";
import { Frames } from "./frames.js";
import { FramesView } from "./frames-view.js";
import { describeLoss, describeResume } from "./marks.js";
import { PublishPanel } from "./publish-panel.js";
import { Rows } from "./rows.js";
import { Tabs } from "./tabs.js";
import { readTypes, schemaView } from "./types.js";

const USUAL = "-50";
/** The field that an error is about. */
const FIELDS = {
  unknown_channel: "channel",
  invalid_channel: "channel",
  too_many_subscriptions: "channel",
  forbidden: "channel",
  invalid_since: "since",
  invalid_filter: "where",
};
const AWAY = "No connection. Events that come in the meantime follow when it is back.";

const isPattern = (name) => /[*>]/.test(name);
const typeNameOf = (name) => name.split(".")[0];
const say = (text) => (byId("said").textContent = text);

export class Workbench {
  #view = { channel: "", since: USUAL, where: "" };
  #types = [];
  #reading;
  #wasOpen = false;
  #rows;
  #live;
  #shown = { view: null, request: null, credential: null };
  #code = null; // the panel of code, once it is there
  #panel;

  /** `channel`: what the address names. `query`: its query, with since and where. */
  constructor(channel, query) {
    this.#rows = this.#makeRows();
    const frames = new Frames(() => framesView.changed());
    const framesView = new FramesView(frames, say);
    this.#live = new Live(byId("filter"), () => this.#onChange(), {
      WebSocket: frames.recorded(),
    });
    this.#panel = new PublishPanel(this.#live, (request) => this.#showCode({ request }));
    new Tabs(byId("tabs"), byId("workbench"), (name) => {
      framesView.visible = name === "frames";
      if (name === "code") this.#loadCode();
    });
    this.#reading = readTypes(this.#live.http).catch(() => []);
    this.#listen();
    this.#show(viewOf(channel, query));
    suggest(this.#live.http).catch(() => {});
  }

  #makeRows() {
    return new Rows({
      body: byId("rows"),
      count: byId("count"),
      eventRow: byId("event-row"),
      markRow: byId("mark-row"),
      onWaiting: showWaiting,
      onDrawn: () => this.#showPage(),
    });
  }

  #listen() {
    byId("filter").addEventListener("input", (event) => this.#rows.filter(event.target.value));
    byId("clear").addEventListener("click", () => this.#rows.clear());
    byId("pause").addEventListener("click", () => {
      const paused = !isPaused();
      byId("pause").setAttribute("aria-pressed", String(paused));
      this.#rows.pause(paused);
      showWaiting(0);
    });
    byId("query").addEventListener("submit", (event) => {
      event.preventDefault();
      const form = new FormData(event.target);
      const next = viewOf(form.get("channel"), form);
      history.pushState(null, "", explored(Object.entries(next).filter(([, value]) => value)));
      this.#show(next);
    });
    addEventListener("popstate", () => {
      this.#show(viewOf(namedInAddress(), new URLSearchParams(location.search)));
    });
  }

  #show(view) {
    const other = view.channel !== this.#view.channel;
    this.#view = view;
    for (const name of ["channel", "since", "where"]) byId(name).value = view[name];
    byId("title").textContent = view.channel;
    document.title = `${view.channel} · Explore · EventHub`;
    this.#follow();
    this.#showCode({ view, credential: this.#live.token });
    if (other) this.#showType();
  }

  #follow() {
    const { channel, since, where } = this.#view;
    const rows = this.#rows;
    const withChannel = isPattern(channel);
    rows.clear();
    showWarning("");
    this.#live.follow([channel], {
      since,
      ...(where && { where }),
      onEvent: (event) => rows.addEvent(event, withChannel),
      onSignal: (signal) => rows.addEvent(signal, withChannel),
      onGap: (gap) => rows.addGap(gap, withChannel),
      onReplayed: () => rows.received && rows.addMark("live", "Below is history, above is live."),
      onResumed: (_, count) => rows.addMark("resumed", describeResume(count)),
      onFilterFailed: ({ id, reason }) =>
        showWarning(`The filter has no value for the event ${id}, and maybe for others: ${reason}.`),
    });
  }

  #onChange() {
    if (!this.#view.channel) return; // it is called before the connection is known
    const { connection } = this.#live;
    const isOpen = connection.state === "open";
    if (this.#wasOpen && !isOpen) this.#rows.addMark("lost", describeLoss(connection));
    this.#wasOpen = isOpen;
    this.#showCode({ credential: this.#live.token });
    this.#showPage();
  }

  #showPage() {
    if (!this.#view.channel) return;
    const { error, connection } = this.#live;
    for (const field of ["channel", "since", "where"]) {
      showFault(field, error && FIELDS[error.code] === field ? error.message : "");
    }
    showBanner(connection, !this.#rows.empty, AWAY);
    const words = { things: "events", payload: this.#sample(), sample: "example" };
    const count = this.#rows.empty && this.#rows.received === 0 ? 0 : 1;
    const page = { live: this.#live, patterns: [this.#view.channel], fault: null, count };
    showState(byId("state"), pageState(page, words));
  }

  /** What the page does, for its programs. Their module comes when it is asked for. */
  #showCode(changes) {
    Object.assign(this.#shown, changes);
    this.#code?.show(this.#shown);
  }

  async #loadCode() {
    const { CodePanel } = await import("./code-panel.js");
    this.#code ??= new CodePanel(say);
    this.#code.show(this.#shown);
  }

  get #type() {
    return this.#types.find(({ name }) => name === typeNameOf(this.#view.channel));
  }

  #sample() {
    return samplePayloads(this.#type?.payload)[0];
  }

  /** What depends on the channel's type: its schema, its own page, the form. */
  async #showType() {
    const { channel } = this.#view;
    this.#types = await this.#reading;
    if (channel !== this.#view.channel) return;
    this.#showPage();
    showOwnPage(channel, this.#type);
    const type = await this.#panel.show(channel, this.#types);
    if (channel === this.#view.channel) byId("schema").replaceChildren(...schemaView(type));
  }
}

function showFault(field, text) {
  const fault = byId(`${field}-fault`);
  byId(field).setAttribute("aria-invalid", String(Boolean(text)));
  fault.hidden = !text;
  if (fault.textContent !== text) fault.textContent = text;
}

function showWarning(text) {
  byId("warning").hidden = !text;
  byId("warning").textContent = text;
}

const isPaused = () => byId("pause").getAttribute("aria-pressed") === "true";

function showWaiting(count) {
  const text = isPaused() ? `Resume${count ? ` (${count} new)` : ""}` : "Pause";
  if (byId("pause").textContent !== text) byId("pause").textContent = text;
}

/** The view that an address or the form says. */
function viewOf(channel, query) {
  const named = (name) => query.get(name)?.trim() ?? "";
  return { channel: channel.trim(), since: named("since") || USUAL, where: named("where") };
}

const PAGES = { log: ["Logs", "logs"], reading: ["Readings", "iot"] };

/** A link to the page that is made for this channel. */
function showOwnPage(channel, type) {
  const room = channel.startsWith("chat.") && type?.payload === "chat" && !isPattern(channel);
  const [label, page] = room ? ["Chat", "chat"] : (PAGES[type?.payload] ?? []);
  byId("own-page").hidden = !page;
  if (!page) return;
  const name = room ? channel.slice("chat.".length) : channel;
  byId("own-page").textContent = `Open in ${label}`;
  byId("own-page").href = addressOf(`${page}/${encodeURIComponent(name)}`);
}

/** Suggests channels that have events or subscribers. */
async function suggest(http) {
  const response = await http.channels({ limit: 500 });
  if (!response.ok) return;
  const { channels } = await response.json();
  byId("channel-names").append(...channels.map(({ name }) => new Option(name)));
}
