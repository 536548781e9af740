"""`python -m tests.integration.comings`: how late an honest subscriber's events are while crowds of
members join and leave.

The honest client publishes 50 events a second to a channel of its own and reads them back, in a
process of its own. Beside it runs one of three loads: nothing; a client that subscribes and
unsubscribes as fast as it may, watched by 199 members; 199 clients that each join the same 128
channels. Prints a table for RESULTS.md.
"""

import argparse
import json
import selectors
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.bench import cores
from tests.harness.clients import WsClient, http, masked, upgrade
from tests.harness.eventhub import EventHubServer

CONFIG = """
log: {level: warning}
channels:
  room: {payload: json, presence: true}
  quiet: {payload: json, publish: [client, producer]}
"""
MEMBERS = 199
CHANNELS = 128
PACE = 50
"""Events a second of the honest one."""
P99 = 0.99


def command(**fields: object) -> bytes:
    """A client's message."""
    return masked(json.dumps(fields).encode())


class Crowd:
    """Raw WebSockets whose incoming messages are thrown away."""

    def __init__(self, port: int, count: int) -> None:
        self.sockets = [upgrade(port) for _ in range(count)]
        self.received = 0
        self._over = threading.Event()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()

    def close(self) -> None:
        """Close all of them."""
        self._over.set()
        self._reading.join()
        for sock in self.sockets:
            sock.close()

    def settle(self) -> None:
        """Wait until nothing has arrived for a second."""
        before = -1
        while self.received != before:
            before = self.received
            time.sleep(1)  # silence is what is waited for

    def _read(self) -> None:
        with selectors.DefaultSelector() as selector:
            for sock in self.sockets:
                selector.register(sock, selectors.EVENT_READ)
            while not self._over.is_set():
                for key, _ in selector.select(0.1):
                    assert isinstance(key.fileobj, socket.socket)
                    self.received += len(key.fileobj.recv(1 << 18))


def honest(url: str, seconds: float) -> list[float]:
    """The delays of the honest client's events, in milliseconds."""
    delays: list[float] = []
    with WsClient(f"{url}?channel=quiet.a", max_queue=None) as reader, WsClient(url) as writer:
        reader.until("subscribed")
        count = int(seconds * PACE)

        def write() -> None:
            begin = time.monotonic()
            for number in range(count):
                time.sleep(
                    max(0, begin + number / PACE - time.monotonic())
                )  # the pace that is tested
                writer.send(type="publish", channel="quiet.a", data=time.monotonic())

        writing = threading.Thread(target=write)
        writing.start()
        delays.extend(
            1000 * (time.monotonic() - event["data"])
            for event in (reader.until("event") for _ in range(count))
        )
        writing.join()
    return delays


@contextmanager
def measured(hub: EventHubServer, seconds: float, delays: list[float]) -> Iterator[None]:
    """The honest client's delays while the context lasts, and for at least this long."""
    arguments = [
        sys.executable,
        "-m",
        "tests.integration.comings",
        "--honest",
        hub.ws_url,
        "--seconds",
        str(seconds),
    ]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    time.sleep(1.5)  # it has connected
    yield
    output, _ = process.communicate(timeout=seconds + 60)
    delays += json.loads(output)


@contextmanager
def served(directory: Path) -> Iterator[EventHubServer]:
    """A server that has a core to itself."""
    with cores.pinned(cores.SERVER):
        server = EventHubServer(directory, CONFIG, lane="started")
        server.start()
    try:
        yield server
    finally:
        server.kill()


def churn(port: int, seconds: float) -> None:
    """A client that subscribes and unsubscribes as often as `limits.commands` allows."""
    with upgrade(port) as sock:
        reading = threading.Thread(
            target=lambda: [None for _ in iter(lambda: _received(sock), b"")]
        )
        reading.start()
        pair = command(type="subscribe", channel="room.a", member="guest", presence=True) + command(
            type="unsubscribe", channel="room.a"
        )
        begin = time.monotonic()
        while time.monotonic() < begin + seconds:
            sock.sendall(pair * 20)  # it waits while the server throttles it
        sock.shutdown(socket.SHUT_RDWR)
        reading.join()


def _received(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1 << 18)
    except OSError:
        return b""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it. Returns 1 if an honest p99 is more than three times the quiet one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument(
        "--honest", help="the address of a server: be the honest one, and print the delays"
    )
    options = parser.parse_args(arguments)
    if options.honest:
        print(json.dumps(honest(options.honest, options.seconds)))  # noqa: T201
        return 0
    found: dict[str, list[float]] = {}
    with (
        tempfile.TemporaryDirectory() as directory,
        served(Path(directory)) as hub,
        cores.pinned(cores.CLIENT),
    ):
        with measured(hub, options.seconds, found.setdefault("nothing", [])):
            pass
        crowd = Crowd(hub.port, MEMBERS)
        for number, sock in enumerate(crowd.sockets):
            sock.sendall(
                command(type="subscribe", channel="room.a", member=f"m{number}", presence=True)
            )
        crowd.settle()
        with measured(
            hub, options.seconds, found.setdefault("one that comes and goes, watched by 199", [])
        ):
            churn(hub.port, options.seconds - 2)
        crowd.close()
        crowd = Crowd(hub.port, MEMBERS)
        joins = [
            b"".join(
                command(
                    type="subscribe", channel=f"room.c{channel}", member=f"m{number}", presence=True
                )
                for channel in range(CHANNELS)
            )
            for number in range(MEMBERS)
        ]
        with measured(
            hub, options.seconds, found.setdefault("199 that join 128 channels each", [])
        ):
            for sock, text in zip(crowd.sockets, joins, strict=True):
                sock.sendall(text)
            crowd.settle()
        counts = [
            http.get(f"{hub.url}/v1/channels/room.c{channel}/presence").json()["count"]
            for channel in range(CHANNELS)
        ]
        assert counts == [MEMBERS] * CHANNELS
        with measured(
            hub, options.seconds, found.setdefault("the same 199 that leave together", [])
        ):
            crowd.close()
    print("| beside | p50, ms | p99, ms | longest, ms |\n|---|---|---|---|")  # noqa: T201
    for name, delays in found.items():
        print(f"| {name} | {median(delays):.1f} | {p99(delays):.1f} | {max(delays):.1f} |")  # noqa: T201
    return int(any(p99(delays) > 3 * p99(found["nothing"]) for delays in found.values()))


def p99(delays: list[float]) -> float:
    """The 99th percentile."""
    return sorted(delays)[int(len(delays) * P99)]


if __name__ == "__main__":
    sys.exit(main())
