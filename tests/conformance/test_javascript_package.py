"""The JavaScript client as people install it: npm, TypeScript, Node and a bundler of others."""

import gzip
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance.javascript_types import CLIENT, TOOLS, types
from tests.harness.clients import http, wait_for
from tests.harness.eventhub import EventHubServer

BYTES = 6 * 1024
"""Of the core, compressed. The other modules are loaded when they are needed."""
ON_DEMAND = (
    "authentication.js",
    "cursors.js",
    "event-queue.js",
    "fall-back.js",
    "patterns.js",
    "signals.js",
    "state.js",
)

USE = """
import { EventHub, EventHubError } from "@eventhub/client";

interface Order { number: number }

const hub = new EventHub("https://hub.example", { token: async () => "t", storage: null });
const subscription = hub.subscribe<Order>("orders.eu", {
  since: "-20",
  onEvent: (event, { replay }) => { const n: number = event.data.number; void [n, replay]; },
  where: "data.number > 1",
  member: { id: "ana", data: { status: "here" } },
  onUpdate: (member) => { const said: unknown = member.data?.status; void said; },
  onGap: (gap) => { const at: string = gap.position; void at; },
  onError: (error) => { const known: EventHubError = error; void known.code; },
});
const cursor: string | null = subscription.cursor;
void cursor;

export async function follow(): Promise<void> {
  for await (const item of hub.events<Order>("orders.eu", { since: "earliest" })) {
    if (item.type === "gap") continue;
    const number: number = item.data.number;
    void number;
  }
  const { id } = await hub.publish("orders.eu", { number: 1 });
  const text: string = id;
  void text;
  hub.subscribe<Order>("orders.>", { since: { "orders.eu": id }, cursor: "mine" });
  hub.subscribe<Order>("orders.eu", { since: "state", onEvent: ({ key, deleted }) => {
    const keys: (string | undefined)[] = [key, deleted];
    void keys;
  } });
  await hub.delete("orders.eu", "17", { ifMatch: id }).catch((error: EventHubError) => error.id);
  const accepted: boolean = await hub.updateMember("orders.eu", { status: "away" });
  void accepted;
  await hub.publish("orders.eu", { number: 2 }, { maxAge: 5, attributes: { source: "/x" } });
  if (hub.status.state === "waiting") void [hub.status.seconds.toFixed(), hub.status.reason.trim()];
}

// @ts-expect-error a number is no address
new EventHub(7);
// @ts-expect-error the data is not known without a type
hub.subscribe("a.b", { onEvent: (event) => event.data.number });
// @ts-expect-error there is no such option
hub.subscribe("a.b", { sins: "latest" });
// @ts-expect-error the data of a member is an object
void hub.updateMember("a.b", "away");
// @ts-expect-error the seconds are there while it waits
void hub.status.seconds;
// @ts-expect-error a cursor is not set from outside
subscription.cursor = "k-1";
"""

FOLLOW = """
import WebSocket from "ws";
import { EventHub } from "@eventhub/client";

const hub = new EventHub(process.argv[2], { WebSocket });
const { id } = await hub.publish("orders.eu", "first");
console.log("stored", id);
for await (const item of hub.events("orders.eu", { since: "earliest" })) {
  console.log(item.type, item.data);
  if (item.data === "last") break;
}
hub.close();
"""

SELECT = """
import WebSocket from "ws";
import { EventHub } from "@eventhub/client";

const hub = new EventHub(process.argv[2], { WebSocket });
for (const data of [1, 2, 3]) await hub.publish("orders.eu", data);
const subscription = hub.subscribe("orders.eu", {
  since: "earliest",
  where: "data == 2",
  presence: true,
  member: { id: "ana", data: { status: "here" } },
  onSubscribed: ({ members }) => console.log("members", JSON.stringify(members)),
  onEvent: ({ data }) => console.log("event", data),
  onJoin: told, // in one with the update, if that follows soon
  onUpdate: told,
  async onReplayed({ count }) {
    console.log("replayed", count, subscription.cursor.split("-")[1]);
    console.log("accepted", await hub.updateMember("orders.eu", { status: "away" }));
  },
});
function told({ id, data }) {
  if (data.status !== "away") return;
  console.log("told", id);
  hub.close();
}
"""

WRONG = """
import { EventHub } from "@eventhub/client";

const server = "http://localhost:1";
try {
  new EventHub(server, { WebSocket: undefined, token: () => "t" });
} catch (error) {
  console.log(String(error));
}
const hub = new EventHub(server, { WebSocket: class { close() {} } });
await hub.events("a.b", { sinse: "-5" }).next().catch((error) => console.log(String(error)));
hub.close();
"""


@pytest.fixture(name="project", scope="module")
def project_fixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh project with the packed client in it."""
    folder = tmp_path_factory.mktemp("project")
    packed = run("npm", "pack", "--json", "--pack-destination", str(folder), cwd=CLIENT)
    (tarball,) = json.loads(packed)
    (folder / "package.json").write_text('{"type": "module"}')
    installed = folder / "node_modules" / "@eventhub" / "client"
    installed.mkdir(parents=True)
    run("tar", "xzf", tarball["filename"], "--strip-components=1", "-C", str(installed), cwd=folder)
    (folder / "node_modules" / "ws").symlink_to(TOOLS.parent / "ws")
    return folder


def run(*command: str, cwd: Path) -> str:
    return subprocess.run(
        command, cwd=cwd, check=True, timeout=120, stdout=subprocess.PIPE, text=True
    ).stdout


def test_the_types_are_those_of_the_code() -> None:
    for name, text in types().items():
        assert (CLIENT / name).read_text() == text, "run `make docs`"


def test_the_package_has_every_module_and_the_types(project: Path) -> None:
    found = {file.name for file in (project / "node_modules/@eventhub/client").iterdir()}
    modules = {file.name for file in CLIENT.iterdir() if file.suffix in (".js", ".ts")}
    assert found == {*modules, "package.json", "README.md"}


@pytest.mark.parametrize("resolution", ["bundler", "nodenext"])
def test_a_typescript_project_compiles_in_strict_mode(project: Path, resolution: str) -> None:
    (project / "use.ts").write_text(USE)
    module = "esnext" if resolution == "bundler" else "nodenext"
    options = f"--noEmit --strict --target es2022 --lib es2022,dom --module {module}"
    run(
        str(TOOLS / "tsc"), *options.split(), "--moduleResolution", resolution, "use.ts",
        cwd=project,
    )  # fmt: skip


def test_the_core_is_small(project: Path) -> None:
    (project / "entry.js").write_text('export * from "@eventhub/client";')
    options = [f"--external:./{name}" for name in ON_DEMAND]
    bundle = run(
        str(TOOLS / "esbuild"), "--bundle", "--minify", "--format=esm", *options, "entry.js",
        cwd=project,
    )  # fmt: skip
    size = len(gzip.compress(bundle.encode(), 9))
    assert size < BYTES, f"{size} bytes, compressed"
    assert all(f'import("./{name}")' in bundle for name in ON_DEMAND)


def test_what_is_wrong_at_once_says_what_is_expected_and_leaves_nothing_running(
    project: Path,
) -> None:
    (project / "wrong.mjs").write_text(WRONG)
    assert run("node", "wrong.mjs", cwd=project).splitlines() == [
        "TypeError: this runtime has no WebSocket: "
        'pass { WebSocket } from the package "ws", or use Node 22',
        "TypeError: unknown option sinse; expected since, where, member, presence, cursor",
    ]


@pytest.fixture(name="lasting")
def lasting_fixture(start: Callable[..., EventHubServer]) -> EventHubServer:
    orders = "{payload: json, publish: [client, producer]}"
    return start(f"broker: sqlite:///events.db\nchannels: {{orders: {orders}}}")


def test_node_publishes_and_follows_through_a_kill(project: Path, lasting: EventHubServer) -> None:
    (project / "follow.mjs").write_text(FOLLOW)
    with subprocess.Popen(
        ["node", "follow.mjs", lasting.url], cwd=project, stdout=subprocess.PIPE, text=True
    ) as node:
        wait_for(node, "event first")
        lasting.kill()
        lasting.start()
        for data in ("second", "last"):
            http.post(f"{lasting.url}/v1/channels/orders.eu", json=data).raise_for_status()
        wait_for(node, "event second")
        wait_for(node, "event last")
        assert node.wait(60) == 0


def test_node_selects_events_and_updates_its_member(
    project: Path, start: Callable[..., EventHubServer]
) -> None:
    hub = start("channels: {orders: {payload: json, presence: true, publish: [client]}}")
    (project / "select.mjs").write_text(SELECT)
    lines = run("node", "select.mjs", hub.url, cwd=project).splitlines()
    assert lines[:3] == [
        'members [{"id":"ana","data":{"status":"here"}}]',
        "event 2",
        "replayed 1 3",
    ]
    assert set(lines[3:]) == {"accepted true", "told ana"}
