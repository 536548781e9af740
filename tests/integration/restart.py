"""`python -m tests.integration.restart`: a single node is restarted under thousands of clients and
load.

It is restarted as by a process manager: SIGTERM, the end, a start at once on the same port. SQLite
keeps the events. Some clients ignore the time that they are told and reconnect when they like.
Prints figures for RESULTS.md.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from eventhub.server.security.connection_limits import raise_descriptors
from tests.harness.clients import busiest
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import async_eventually
from tests.harness.nodes import Publisher
from tests.integration.crowd import Crowd
from tests.integration.rolling import SETTLE_SECONDS, Plan, Roll, _judge

CHANNELS = 20
STUBBORN = 10
"""One client in so many does not do as it is told."""
CONFIG = """
broker: sqlite:///events.db
log: {level: warning}
limits: {connections_per_address: 20000}
channels:
  chat: {payload: chat, history: {events: 100000, age: 1h}, publish: [client, producer]}
"""


@dataclass(slots=True)
class Restart:
    """What happened. Times are on the monotonic clock, `away` is in seconds."""

    clients: int
    roll: Roll
    begun: float = 0.0
    ended: float = 0.0
    ready: float = 0.0
    goodbyes: list[float] = field(default_factory=list)
    away: list[float] = field(default_factory=list)
    obeyed: list[float] = field(default_factory=list)
    """When those came back that do as they are told."""
    moments: list[float] = field(default_factory=list)
    """When each was to come back, in seconds from its goodbye."""

    def check(self) -> None:
        """Check that nothing was lost, and that every client was told, refused nowhere, and
        reconnected.
        """
        roll = self.roll
        faults = {
            name: found
            for name in (
                "lost",
                "duplicates",
                "disorder",
                "stored_twice",
                "unacknowledged",
                "gaps",
                "refused",
            )
            if (found := getattr(roll, name))
        }
        assert not faults, faults
        assert not roll.errors, roll.errors
        assert len(self.goodbyes) + roll.cut == self.clients, "each once, or it was cut off"
        assert len(roll.returns) == self.clients
        assert max(self.goodbyes) < min(roll.returns), "all are served until the end"

    def __str__(self) -> str:
        back, away, roll = sorted(self.roll.returns), sorted(self.away), self.roll
        seconds = back[-1] - back[0]
        obeyed = sorted(self.obeyed)
        span = obeyed[-1] - obeyed[0]
        rows = {
            "clients": f"{self.clients:,}",
            "signal to first goodbye": f"{self.goodbyes[0] - self.begun:.2f} s",
            "goodbyes over": f"{self.goodbyes[-1] - self.goodbyes[0]:.2f} s",
            "last goodbye to exit": f"{self.ended - self.goodbyes[-1]:.2f} s",
            "exit to ready": f"{self.ready - self.ended:.2f} s",
            "away: median, 95 %, longest": (
                f"{median(away):.2f} s, {away[len(away) * 95 // 100]:.2f} s, {away[-1]:.2f} s"
            ),
            "back over": f"{seconds:.2f} s",
            "clients that obey: how many, back over": f"{len(obeyed):,}, {span:.2f} s",
            "of them in the busiest second, mean over that time": (
                f"{busiest(obeyed, 1):,}, {len(obeyed) / max(1, span):,.0f}"
            ),
            "in the busiest tenth of a second, mean": (
                f"{busiest(obeyed, 0.1):,}, {len(obeyed) / max(1, 10 * span):,.0f}"
            ),
            "refused (503), cut off": f"{roll.refused}, {roll.cut}",
            "events, deliveries": f"{roll.events:,}, {roll.deliveries:,}",
            "lost, twice, out of order, gaps": (
                f"{roll.lost}, {roll.duplicates}, {roll.disorder}, {roll.gaps}"
            ),
            "publishes repeated": f"{roll.retries}",
        }
        return "\n".join(f"| {name} | {value} |" for name, value in rows.items())


def restart(directory: Path, clients: int = 2000, *, lane: str = "started") -> Restart:
    """Restart the node. Its log stays in the directory."""
    raise_descriptors()
    node = EventHubServer(directory, CONFIG, lane=lane)
    node.start()
    try:
        return asyncio.run(_restart(node, clients))
    finally:
        node.kill()


async def _restart(node: EventHubServer, clients: int) -> Restart:
    crowd, result = Crowd(node.port), Restart(clients, Roll(Plan(clients=clients)))
    channels = [f"chat.c{number}" for number in range(CHANNELS)]
    for number, channel in enumerate(channels):
        await crowd.add(channel, [None] * (clients // CHANNELS), obedient=number % STUBBORN != 0)
    result.clients = len(crowd.clients)
    publishers = [Publisher([node], channels, f"p{number}", 0.05) for number in range(2)]
    async with asyncio.TaskGroup() as tasks:
        publishing = [tasks.create_task(publisher.run()) for publisher in publishers]
        await async_eventually(
            "publishers to get on",
            lambda: min(len(publisher.acknowledged) for publisher in publishers),
            lambda seen: seen > 5,
            seconds=SETTLE_SECONDS,
        )
        result.begun = time.monotonic()
        assert await asyncio.to_thread(node.stop) == 0
        result.ended = time.monotonic()
        await asyncio.to_thread(node.start)
        result.ready = time.monotonic()
        await async_eventually(
            "all clients to come back",
            lambda: crowd.connected,
            lambda seen: seen == len(crowd.clients),
            seconds=SETTLE_SECONDS,
        )
        for publisher in publishers:
            publisher.stopping = True
        await asyncio.wait(publishing, timeout=SETTLE_SECONDS)
    await _judge(crowd, publishers, node.url, result.roll)
    await crowd.end()
    result.goodbyes, result.away, result.moments = crowd.goodbyes, crowd.away, crowd.moments
    result.obeyed = crowd.obeyed
    return result


def main() -> None:
    """Restart, and print what happened."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.integration.restart", description=__doc__
    )
    parser.add_argument("--clients", type=int, default=2000, help="(%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        result = restart(Path(directory), options.clients)
    sys.stdout.write(f"{result}\n")
    result.check()


if __name__ == "__main__":
    main()
