"""`eventhub bench`: load a server, and measure latency and loss as its clients see them.

The subscribers are in this process. Where it needs a whole core, it measures itself: look at the
last line.
"""

import asyncio
import csv
import json
import math
import time
import uuid
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from string import Template
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table
from websockets.asyncio.client import connect

from eventhub_client.cli.exits import REFUSED, command
from eventhub_client.cli.target import (
    ApiKeyOption,
    ContextName,
    Server,
    Target,
    TokenOption,
    target_of,
)
from eventhub_client.errors import HubError, Problem, error
from eventhub_client.hub import Hub
from eventhub_client.wire import FAILED, WEBSOCKET_OPTIONS, refusal_of

STEP = 1.02
"""A bucket of latencies is 2 % wide."""
PERCENTILES = (50, 90, 99, 99.9)
SETTLE_SECONDS = 10.0
"""How long late events are waited for."""
CONNECTING = 64
"""Connections that are opened at a time."""


@dataclass(frozen=True, slots=True)
class Load:
    """The settings of a run."""

    channel: str
    subscribers: int
    publishers: int
    rate: float
    seconds: float
    size: int
    template: str


@dataclass(slots=True)
class Count:
    """What was seen so far. Latencies are in nanoseconds, by bucket."""

    published: int = 0
    refused: int = 0
    received: int = 0
    repeated: int = 0
    gaps: int = 0
    latencies: Counter[int] = field(default_factory=Counter)

    def percentile(self, share: float) -> float:
        """Milliseconds, NaN before the first event."""
        left = math.ceil(self.latencies.total() * share / 100)
        for bucket in sorted(self.latencies):
            left -= self.latencies[bucket]
            if left <= 0:
                return float(STEP**bucket / 1e6)
        return math.nan


@command
def bench(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL")] = "logs.bench",
    *,
    subscribers: Annotated[int, typer.Option("--subscribers", "-s", min=1)] = 100,
    publishers: Annotated[int, typer.Option("--publishers", "-p", min=1)] = 1,
    rate: Annotated[float, typer.Option(min=0.1, help="Events a second, of all publishers")] = 100,
    seconds: Annotated[float, typer.Option(min=0.5)] = 10,
    size: Annotated[int, typer.Option(min=0, help="Bytes of padding in an event")] = 100,
    template: Annotated[
        str, typer.Option(help="The event; ${mark} is what is measured")
    ] = '{"level":"info","message":"${mark}"}',
    csv_file: Annotated[
        Path | None, typer.Option("--csv", dir_okay=False, help="Append a row to a file")
    ] = None,
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """Publish to a channel at a rate, and measure how late and how complete readers get it."""
    if "${mark}" not in template:
        raise ValueError(f"received --template {template}; expected one with ${{mark}}")
    load = Load(channel, subscribers, publishers, rate, seconds, size, template)
    target = target_of(server, context, token, api_key)
    if csv_file is not None:
        csv_file.open("a").close()  # whether it can be written is known before the run
    console = Console()
    for name, value in asdict(load).items():
        console.print(f"{name:>12}  {value}", highlight=False, markup=False)
    run = _Run(target, load)
    lost = asyncio.run(run.whole(console))
    result = run.result(lost)
    console.print(_table(result))
    if csv_file is not None:
        _append(csv_file, {**asdict(load), **result})
    if lost or run.count.refused:
        raise typer.Exit(REFUSED)


class _Run:
    """One run: subscribers first, then publishers, then what is late."""

    def __init__(self, target: Target, load: Load) -> None:
        self._target = target
        self._load = load
        self._id = uuid.uuid4().hex[:8]
        self.count = Count()
        self._ready = 0
        self._opening = asyncio.Semaphore(CONNECTING)
        self._failed: HubError | None = None
        self._began = self._cpu_before = self.seconds = self.cpu_seconds = 0.0

    async def whole(self, console: Console) -> int:
        """Returns how many deliveries are missing."""
        load, count = self._load, self.count
        readers = [asyncio.create_task(self._read()) for _ in range(load.subscribers)]
        try:
            while self._ready < load.subscribers:
                self._check()
                await asyncio.sleep(0.02)
            self._began, self._cpu_before = time.monotonic(), time.process_time()
            async with Hub(
                self._target.url, token=self._target.token, key=self._target.api_key
            ) as hub:
                tasks = [self._publish(hub, number) for number in range(load.publishers)]
                publishing = asyncio.gather(*tasks)
                with Live(console=console, transient=True, auto_refresh=False) as live:
                    while not publishing.done():
                        await asyncio.wait([publishing], timeout=0.5)
                        self._look_at_the_clock()
                        live.update(_table(self.result(lost=0)), refresh=True)
                await publishing
            expected = count.published * load.subscribers
            for _ in range(int(SETTLE_SECONDS * 20)):
                if count.received >= expected:
                    break
                self._check()
                await asyncio.sleep(0.05)
            return expected - count.received
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)

    def result(self, lost: int) -> dict[str, float]:
        """The row of what was counted. Rates are those of the time that was published for."""
        count, seconds = self.count, self.seconds or 1.0
        return {
            "published": count.published,
            "refused": count.refused,
            "received": count.received,
            "lost": lost,
            "repeated": count.repeated,
            "gaps": count.gaps,
            "deliveries_per_second": round(count.received / seconds, 1),
            **{f"p{each:g}_ms": round(count.percentile(each), 3) for each in PERCENTILES},
            "own_core": round(self.cpu_seconds / seconds, 2),
        }

    def _look_at_the_clock(self) -> None:
        self.seconds = time.monotonic() - self._began
        self.cpu_seconds = time.process_time() - self._cpu_before

    def _check(self) -> None:
        if self._failed is not None:
            raise self._failed

    async def _publish(self, hub: Hub, publisher: int) -> None:
        load, count = self._load, self.count
        own = load.rate / load.publishers
        begin = time.monotonic()
        for number in range(max(1, round(load.seconds * own))):
            await asyncio.sleep(max(0.0, begin + number / own - time.monotonic()))
            mark = f"{self._id} {publisher} {number} {time.monotonic_ns()} {'.' * load.size}"
            try:
                await hub.publish(
                    load.channel, json.loads(Template(load.template).safe_substitute(mark=mark))
                )
                count.published += 1
            except HubError as refused:
                count.refused += 1
                self._failed = self._failed or (refused if count.published == 0 else None)
                self._check()

    async def _read(self) -> None:
        try:
            async with self._opening:
                connection = await connect(
                    self._target.address.websocket,
                    additional_headers=self._target.headers,
                    **WEBSOCKET_OPTIONS,
                )
            async with connection:
                subscribe = {"type": "subscribe", "channel": self._load.channel}
                await connection.send(json.dumps(subscribe))
                await self._receive(connection)
        except FAILED as failure:
            said = f"a subscriber has no connection: {refusal_of(failure)}"
            self._failed = error(Problem("unreachable", said, 503))

    async def _receive(self, connection: Any) -> None:
        count, seen = self.count, set[tuple[str, str]]()
        begin = f"{self._id} "
        async for text in connection:
            at = text.find(begin)
            if at >= 0:
                _, publisher, number, sent, _ = text[at:].split(" ", 4)
                if (publisher, number) in seen:
                    count.repeated += 1
                    continue
                seen.add((publisher, number))
                count.received += 1
                late = max(1, time.monotonic_ns() - int(sent))
                count.latencies[int(math.log(late, STEP))] += 1
                continue
            message = json.loads(text)
            if message["type"] == "subscribed":
                self._ready += 1
            elif message["type"] == "gap":
                count.gaps += 1
            elif message["type"] == "error":
                self._failed = error(Problem.of(message))


def _table(result: dict[str, float]) -> Table:
    table = Table(show_header=False, box=None)
    for name, value in result.items():
        table.add_row(name, f"{value:,}")
    return table


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, row)
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)
