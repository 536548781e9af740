// The page of operators: what the nodes do, who is connected, who is blocked. It asks every two
// seconds, and not while it is hidden.

import { TOKEN_ERRORS } from "../../client/errors.js";
import { byId } from "../common/dom.js";
import { SERVER } from "../common/place.js";
import { shown } from "../common/rates.js";
import { showState } from "../common/state-view.js";
import { clock, datedClock } from "../common/times.js";
import { Token } from "../common/token.js";
import { Admin } from "./admin.js";
import { busiest, figuresOf, sumsOf, targetOf } from "./figures.js";
import { showRows } from "./tables.js";

const EVERY = 2_000;
const SLOWEST = 20;

const token = new Token(byId("token"), byId("main"), () => look());
const admin = new Admin(SERVER.href, () => token.value);
let before = { sums: null, channels: [], at: 0 };
let timer = null;
let looking = false;

async function look() {
  clearTimeout(timer);
  timer = null;
  if (looking || document.hidden) return;
  looking = true;
  try {
    show(await read());
  } catch (error) {
    fail(error);
  }
  looking = false;
  timer = setTimeout(look, EVERY);
}

async function read() {
  const connections = await admin.connections(SLOWEST); // alone first: it says whether one may
  const [log, blocks, channels, metrics] = await Promise.all([
    admin.log(),
    admin.blocks(),
    admin.channels(),
    admin.metrics(),
  ]);
  return { connections, log, blocks, channels: channels.channels, metrics };
}

function show({ connections, log, blocks, channels, metrics }) {
  const now = performance.now();
  const seconds = before.at ? Math.max(0.1, (now - before.at) / 1000) : EVERY / 1000;
  const sums = metrics === null ? null : sumsOf(metrics);
  token.done();
  showState(byId("state"), null);
  byId("content").hidden = false;
  const complete = connections.complete && log.complete;
  byId("complete").hidden = complete;
  showFigures(sums, seconds);
  showNodes(connections.nodes, log.nodes);
  showSlowest(connections.connections);
  showBusiest(busiest(before.channels, channels, seconds));
  showBlocks(blocks.blocks);
  byId("updated").classList.remove("stale");
  byId("updated").textContent = `as of ${clock(Date.now())}`;
  before = { sums, channels, at: now };
}

function showFigures(sums, seconds) {
  byId("no-metrics").hidden = sums !== null;
  const tiles = sums === null ? [] : figuresOf(before.sums, sums, seconds);
  byId("figures").replaceChildren(
    ...tiles.flatMap(([label, value]) => {
      const [term, description] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = label;
      description.textContent = shown(value);
      const group = document.createElement("div");
      group.append(term, description);
      return group;
    }),
  );
}

function showNodes(nodes, levels) {
  const rows = Object.entries(nodes).map(([node, { connections }]) => ({
    key: node,
    cells: [node, shown(connections), levels[node] ?? "?"],
    actions: [],
  }));
  showRows("nodes", rows, "No node has answered");
  const [level] = Object.values(levels);
  if (document.activeElement !== byId("level") && level) byId("level").value = level;
}

function showSlowest(connections) {
  const rows = connections.map((each) => {
    const { principal, session } = each;
    const who = principal.name || principal.kind;
    const cells = [who, each.transport, each.address, shown(each.buffered)];
    return {
      key: `${each.node} ${session}`,
      cells: [...cells, String(each.subscriptions), session],
      actions: actionsFor(targetOf(principal), who),
    };
  });
  showRows("slowest", rows, "Nobody is connected");
}

function actionsFor(target, who) {
  if (target === null) return [];
  return [
    {
      label: "Disconnect",
      name: `Disconnect ${who}`,
      onClick: () => act(`${who} was disconnected`, () => admin.disconnect(target)),
    },
    { label: "Block", name: `Block ${who}`, onClick: () => fillIn(target) },
  ];
}

function showBusiest(channels) {
  const rows = channels.map(({ name, rate, subscribers, events, time }) => ({
    key: name,
    cells: [name, shown(rate), shown(subscribers), shown(events), timeOf(time)],
    actions: [],
  }));
  showRows("busiest", rows, "No channel has events or subscribers");
}

function showBlocks(blocks) {
  const rows = blocks.map(({ since, until, ...target }) => {
    const [[kind, name]] = Object.entries(target);
    const onClick = () => act(`${name} is not blocked any more`, () => admin.unblock(target));
    return {
      key: `${kind} ${name}`,
      cells: [kind, name, timeOf(since), timeOf(until)],
      actions: [{ label: "Remove", name: `Remove the block of ${name}`, onClick }],
    };
  });
  showRows("blocks", rows, "Nobody is blocked");
}

function fillIn(target) {
  const [[kind, name]] = Object.entries(target);
  byId("block-kind").value = kind;
  byId("block-name").value = name;
  byId("block-for").focus();
}

async function act(done, action) {
  byId("done").textContent = "";
  try {
    await action();
    showProblem("");
    byId("done").textContent = done;
  } catch (error) {
    if (TOKEN_ERRORS.has(error.code)) token.ask(error);
    showProblem(error.message);
  }
  look();
}

function fail(error) {
  if (TOKEN_ERRORS.has(error.code)) {
    byId("content").hidden = true;
    return refuse(error);
  }
  if (byId("content").hidden) {
    const title = "The server does not answer";
    showState(byId("state"), { kind: "offline", title, text: "The page asks again by itself." });
  } else {
    byId("updated").classList.add("stale");
    byId("updated").textContent = "The server does not answer: these figures are old.";
  }
}

function refuse(error) {
  if (error.code === "forbidden" && !token.value) {
    token.done(); // no key helps: the server has none
    const title = "This server has no operators";
    return showState(byId("state"), { kind: "refused", title, text: `${error.message}.` });
  }
  const text = "It shows who is connected, and can disconnect and block.";
  showState(byId("state"), { kind: "refused", title: "Only operators see this page", text });
  token.ask(error);
}

const timeOf = (time) => (time ? datedClock(Date.parse(time)) : "–");

function showProblem(text) {
  byId("problem").hidden = !text;
  if (byId("problem").textContent !== text) byId("problem").textContent = text;
}

byId("level").addEventListener("change", ({ target: { value } }) =>
  act(`All nodes log from the level ${value}`, () => admin.setLevel(value)),
);
byId("block").addEventListener("submit", (event) => {
  event.preventDefault();
  const target = { [byId("block-kind").value]: byId("block-name").value.trim() };
  const time = byId("block-for").value.trim();
  act(`${byId("block-name").value} is blocked`, () => admin.block(target, time));
});
document.addEventListener("visibilitychange", look);
look();
performance.mark("interactive");
