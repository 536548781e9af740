"""The servers under load, each in a process of its own on the server's core: EventHub, the limit, the tutorial."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.bench import cores
from tests.bench.load import Door
from tests.harness import START_SECONDS, EventHubServer, free_port

Start = Callable[[], AbstractContextManager[Door]]

CONFIG = """
log: {{level: warning}}
heartbeat: {heartbeat}
limits: {{buffer_bytes: {buffer_bytes}}}
channels:
  bench: {{payload: json, slow: {slow}}}
"""


@dataclass(frozen=True, slots=True)
class EventHub:
    """`eventhub serve` with one channel type for any JSON. The defaults are EventHub's own."""

    heartbeat: float = 25
    buffer_bytes: int = 1024 * 1024
    slow: str = "disconnect"

    @contextmanager
    def start(self, directory: Path) -> Iterator[Door]:
        config = CONFIG.format(heartbeat=self.heartbeat, buffer_bytes=self.buffer_bytes, slow=self.slow)
        server = EventHubServer(directory, config)
        with cores.pinned(cores.SERVER):
            server.start()
        try:
            assert server.process is not None  # started
            listen, publish = "/v1/ws?channel=bench.one", "/v1/channels/bench.one"
            yield Door(
                server.process.pid, server.port, listen, publish, ready='{"type":"subscribed"', counters=lambda: _counters(server.url)
            )
        finally:
            server.kill()


@dataclass(frozen=True, slots=True)
class Limit:
    """`climit`: writes `frames` frames of `size` bytes to each of `subscribers` sockets at a time."""

    program: Path
    subscribers: int
    size: int
    frames: int = 1
    rate: float = 0
    lockstep: bool = False

    @contextmanager
    def start(self) -> Iterator[Door]:
        port = free_port()
        words = ["-p", port, "-n", self.subscribers, "-s", self.size, "-k", self.frames, "-r", self.rate, *["-w"] * self.lockstep]
        with cores.pinned(cores.SERVER):
            process = subprocess.Popen([str(word) for word in (self.program, *words)], stdout=subprocess.PIPE)
        assert process.stdout is not None  # PIPE
        with process, process.stdout:
            try:
                process.stdout.readline()  # "listening"
                yield Door(process.pid, port)
            finally:
                process.kill()


@contextmanager
def tutorial() -> Iterator[Door]:
    """`tutorial.py` under uvicorn."""
    port = free_port()
    with cores.pinned(cores.SERVER):
        command = [sys.executable, "-W", "ignore", "-m", "tests.bench.tutorial", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(f"http://127.0.0.1:{port}/docs")
        yield Door(process.pid, port, "/ws", "/publish")
    finally:
        process.kill()
        process.wait()


def _counters(url: str) -> dict[str, float]:
    text = httpx.get(f"{url}/metrics").text
    return {"writes": _counter(text, "eventhub_fanout_seconds_count"), "given_up": _counter(text, "eventhub_slow_disconnects_total")}


def _counter(text: str, name: str) -> float:
    found = re.search(rf'^{name}\{{type="bench"\}} (\S+)', text, re.MULTILINE)
    assert found is not None, f"/metrics has no {name} for the channel type"
    return float(found[1])


def _wait(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            httpx.get(url, timeout=1)
        except httpx.TransportError:
            time.sleep(0.02)  # between attempts to connect: nothing can be waited on before the port is open
        else:
            return
    raise RuntimeError(f"{url} did not answer in {START_SECONDS} seconds")
