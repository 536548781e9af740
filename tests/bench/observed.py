"""`python -m tests.bench.observed`: what metrics, access log and traces cost a fan-out, in one run.

One server turns them off and on many times a second, in random order, and counts CPU time and
deliveries of each state. So other load on the machine affects all states alike. Traces go to a
collector in this process.
"""

import asyncio
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eventhub.cli import app as command
from eventhub.delivery.counters import DeliveryCounters
from eventhub.observability.metrics import Metrics
from eventhub.server.connections.manager import ConnectionManager
from tests.bench.load import Load, run
from tests.bench.servers import EventHub
from tests.bench.tools import build
from tests.harness.eventhub import COMMANDS

SECONDS, ROUNDS, PERIOD = 30, 3, 0.05
STATES = (
    "nothing",
    "metrics",
    "and traces of a hundredth",
    "and a tenth of the access log",
    "and all of the access log",
)
VERBS = ("published", "answered", "stored", "delayed", "flushed")


def main() -> None:
    """Measure fan-outs to few and to many, and print the cost of each state."""
    COMMANDS["observed"] = ["tests.bench.observed", "serve"]
    with tempfile.TemporaryDirectory() as name:
        program = build(Path(name)).load
        for subscribers in (100, 1000):
            load = Load(subscribers, publishers=1, lockstep=True, seconds=SECONDS)
            rounds = []
            for number in range(ROUNDS):
                directory = Path(name) / f"{subscribers}-{number}"
                directory.mkdir()
                with EventHub(sample=0.01, lane="observed", level="info").start(directory) as door:
                    run(program, load, door)
                rounds.append(
                    [float(text) for text in (directory / "observed").read_text().split()]
                )
            report(subscribers, rounds)


def report(subscribers: int, rounds: list[list[float]]) -> None:
    """Medians of rounds: CPU microseconds of a delivery, also as a ratio to the state with
    everything off.
    """
    for number, state in enumerate(STATES):
        cost = statistics.median(one[number] for one in rounds)
        ratios = [one[number] / one[0] for one in rounds]
        sys.stdout.write(
            f"{subscribers:,} subscribers, {state}: {cost:.3f} us a delivery, "
            f"{statistics.median(ratios):.4f} times "
            f"({min(ratios):.4f} to {max(ratios):.4f})\n"
        )


def nothing(*_: Any) -> None:
    """Replaces a function while its feature is off."""


async def alternate(manager: ConnectionManager) -> None:
    """Switch between the states until cancelled.

    Then write the median cost of a delivery in each, beside the configuration.
    """
    found = Path(os.environ["EVENTHUB_CONFIG"]).with_name("observed")
    real = {verb: getattr(Metrics, verb) for verb in VERBS}
    tracing, counters = manager.hub.tracing, manager.hub.metrics.counters
    costs: list[list[float]] = [[] for _ in STATES]
    while True:
        for state in random.sample(range(len(STATES)), len(STATES)):
            for verb in VERBS:
                setattr(Metrics, verb, real[verb] if state else nothing)
            manager.hub.tracing = tracing if state > 1 else None
            manager.access_log.on, manager.access_log._share = state > 2, 0.1 if state == 3 else 1.0
            cpu, count = time.process_time(), delivered(counters)
            await asyncio.sleep(PERIOD)  # what is measured
            if events := delivered(counters) - count:
                costs[state].append(1e6 * (time.process_time() - cpu) / events)
        if all(costs):
            found.write_text(" ".join(str(statistics.median(cost)) for cost in costs))


def delivered(counters: Mapping[str, DeliveryCounters]) -> int:
    """Events written to subscribers so far."""
    return sum(counters.delivered for counters in counters.values())


def serve() -> None:
    """Run `eventhub serve`, which switches between the states."""
    beat = ConnectionManager.send_heartbeats

    async def both(self: ConnectionManager) -> None:
        await asyncio.gather(beat(self), alternate(self))

    setattr(ConnectionManager, "send_heartbeats", both)  # noqa: B010  # as one would say it, mypy objects
    command()


if __name__ == "__main__":
    serve() if "serve" in sys.argv else main()
