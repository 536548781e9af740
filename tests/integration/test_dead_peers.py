"""Stopped clients (SIGSTOP), and a proxy that reads everything, are noticed in bounded time, while
another client stays.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.harness.background import repeated
from tests.harness.clients import SECONDS, WsClient, http
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import eventually
from tests.harness.loop import in_loop
from tests.harness.programs import program
from tests.harness.proxy import Proxy

Start = Callable[..., EventHubServer]

CONFIG = """
heartbeat: 1
limits: {buffer_bytes: 65536, stalled_seconds: 1.5}
channels:
  lossy: {payload: json, slow: drop}
"""
PAD = "x" * 900
BATCH = [{"n": n, "pad": PAD} for n in range(80)]
NODE_MODULES = Path(__file__).parents[1] / "conformance/node_modules"

WEBSOCKETS = """
import sys
from websockets.sync.client import connect
with connect(sys.argv[1], ping_interval=None) as client:
    for message in client:
        print(message[:20], flush=True)
"""
WS = """
const socket = new (require(process.argv[2]))(process.argv[1])
socket.on('message', (message) => console.log(String(message).slice(0, 20)))
socket.on('close', (code) => process.exit(code === 1000 ? 0 : 1))
socket.on('error', () => process.exit(1))
"""


def command(client: str, hub: EventHubServer) -> list[str]:
    """A program that reads `lossy.a` and prints what arrives."""
    address = f"{hub.url}/v1/ws?channel=lossy.a".replace("http", "ws", 1)
    match client:
        case "websockets":
            return [sys.executable, "-c", WEBSOCKETS, address]
        case "ws":
            return [program("node"), "-e", WS, address, str(NODE_MODULES / "ws")]
        case _:
            return [program("curl"), "-sN", f"{hub.url}/v1/channels/lossy.a/{client.split()[1]}"]


@contextmanager
def reading(client: str, hub: EventHubServer, output: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A client in a process of its own; returns when it is subscribed."""
    with output.open("wb") as file, subprocess.Popen(command(client, hub), stdout=file) as process:
        try:
            eventually(
                f"{client} to be subscribed", output.read_bytes, lambda seen: b"subscribed" in seen
            )
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "quiet"])
def test_stopped_clients_are_disconnected_and_see_it_when_they_continue(
    start: Start, tmp_path: Path, *, busy: bool
) -> None:
    hub = start(CONFIG)
    # what a stream is sent on a quiet channel its kernel takes for hours: nothing tells it from one
    # that reads
    clients = ["websockets", "ws", "curl sse", "curl ndjson"] if busy else ["websockets", "ws"]
    with (
        WsClient(f"{hub.url}/v1/ws?channel=lossy.a".replace("http", "ws", 1)) as honest,
        ExitStack() as load,
    ):
        if busy:
            load.enter_context(
                repeated(
                    lambda: http.post(
                        f"{hub.url}/v1/channels/lossy.a", json=BATCH
                    ).raise_for_status(),
                    pause=0.2,
                )
            )
            load.enter_context(repeated(lambda: honest.receive()))
        with ExitStack() as stack:
            processes = [
                stack.enter_context(reading(client, hub, tmp_path / f"{number}.out"))
                for number, client in enumerate(clients)
            ]
            for process in processes:
                process.send_signal(signal.SIGSTOP)
            hub.shows("eventhub_connections", 1)
            for client, process in zip(clients, processes, strict=True):
                process.send_signal(signal.SIGCONT)
                assert process.wait(SECONDS) != 0, client
        load.close()
        http.post(f"{hub.url}/v1/channels/lossy.a", json="still here").raise_for_status()
        while honest.until("event")["data"] != "still here":
            pass


@pytest.mark.parametrize("busy", [True, False], ids=["busy", "quiet"])
@in_loop
async def test_a_client_that_hangs_behind_a_proxy_that_reads_everything_is_disconnected(
    start: Start, *, busy: bool
) -> None:
    hub = await asyncio.to_thread(start, CONFIG)
    async with (
        Proxy(hub.port) as proxy,
        asyncio.timeout(SECONDS),
        connect(f"ws://127.0.0.1:{proxy.port}/v1/ws?channel=lossy.a", ping_interval=None) as client,
    ):
        while "subscribed" not in str(await client.recv()):
            pass
        proxy.swallow()
        # little: what lies between two pings may be on its way for a second each KiB
        # (server/connections/liveness.py, rule 4)
        little = repeated(
            lambda: http.post(f"{hub.url}/v1/channels/lossy.a", content="1").raise_for_status(),
            pause=0.05,
        )
        with little if busy else nullcontext(), suppress(ConnectionClosed):
            while True:
                await client.recv()
    await asyncio.to_thread(hub.shows, "eventhub_connections", 0)
