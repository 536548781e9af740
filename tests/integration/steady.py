"""`python -m tests.integration.steady`: slow and steady readers, for five minutes, at default
settings.

Over each transport and under each policy, with the system's receive buffers. Prints a table for
RESULTS.md.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.harness.background import repeated
from tests.harness.clients import http, raw
from tests.harness.eventhub import EventHubServer
from tests.integration.steady_readers import WEBSOCKET, Steady, get, read

CONFIG = """
channels:
  strict: {history: {events: 100000}, slow: disconnect}
  newest: {history: {events: 100000}, slow: latest}
  lossy: {history: {events: 100000}, slow: drop}
"""
PAUSE = 1.0
BUSY = json.dumps([{"n": n, "pad": "x" * 900} for n in range(100)])
"""A hundred kilobytes a second, five times what most readers read."""
CALM = json.dumps([{"n": n, "pad": "x" * 900} for n in range(14)])
"""What a reader whose channel disconnects can follow on average."""
LOG_BATCHES = 300


@dataclass(frozen=True, slots=True)
class Case:
    """A reader: its channel, transport and pace."""

    name: str
    path: str
    pace: int = 20_000
    deflate: bool = False

    def request(self, port: int) -> str:
        if not self.path.startswith("?"):
            return get(port, self.path)
        return WEBSOCKET.format(
            self.path, "Sec-WebSocket-Extensions: permessage-deflate\r\n" if self.deflate else ""
        )


CASES = [
    *(Case("drop, WebSocket", "?channel=lossy.a", pace) for pace in (3_000, 8_000, 20_000, 50_000)),
    *(
        Case("latest, WebSocket", "?channel=newest.a", pace)
        for pace in (3_000, 8_000, 20_000, 50_000)
    ),
    Case("disconnect, WebSocket, beside 14 KB/s", "?channel=strict.calm"),
    Case("drop, SSE", "/v1/channels/lossy.a/sse"),
    Case("latest, SSE", "/v1/channels/newest.a/sse"),
    Case("disconnect, SSE, beside 14 KB/s", "/v1/channels/strict.calm/sse"),
    Case("drop, NDJSON", "/v1/channels/lossy.a/ndjson"),
    Case("latest, NDJSON", "/v1/channels/newest.a/ndjson"),
    *(
        Case("replay, WebSocket", "?channel=strict.old&since=earliest", pace)
        for pace in (3_000, 8_000, 20_000, 60_000)
    ),
    Case("replay, SSE", "/v1/channels/strict.old/sse?since=earliest"),
    Case(
        "replay, WebSocket, compressed", "?channel=strict.old&since=earliest", 3_000, deflate=True
    ),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it. Returns 1 if a reader was disconnected."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300)
    seconds: float = parser.parse_args(arguments).seconds
    with (
        tempfile.TemporaryDirectory() as directory,
        EventHubServer(Path(directory), "compression: true\n" + CONFIG) as hub,
    ):
        for _ in range(LOG_BATCHES):
            http.post(f"{hub.url}/v1/channels/strict.old", content=BUSY).raise_for_status()
        readers = [Steady(raw(hub.port), case.request(hub.port), case.pace) for case in CASES]

        def load() -> None:
            for channel, body in (("lossy.a", BUSY), ("newest.a", BUSY), ("strict.calm", CALM)):
                http.post(f"{hub.url}/v1/channels/{channel}", content=body).raise_for_status()

        begin = time.monotonic()
        with repeated(load, PAUSE):
            read(readers, seconds)
        passed = time.monotonic() - begin
        print(  # noqa: T201
            "| reader | KB/s asked | KB/s read | gaps told | after the time |\n"
            "|---|---|---|---|---|"
        )
        for case, reader in zip(CASES, readers, strict=True):
            ended = reader.ended or "still there"
            print(  # noqa: T201
                f"| {case.name} | {case.pace / 1000:g} | {reader.taken / passed / 1000:.1f} | "
                f"{reader.gaps} | {ended} |"
            )
            reader.sock.close()
    return int(any(reader.ended for reader in readers))


if __name__ == "__main__":
    sys.exit(main())
