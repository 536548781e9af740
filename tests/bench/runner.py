"""Runs a case: its variants in turn, several times over, each time with a fresh server."""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench import machine
from tests.bench.cases import HUB, LIMIT, PUBLISHING, Case, Variant
from tests.bench.load import Door, Reading, beside, run
from tests.bench.servers import EventHub, Limit
from tests.bench.tools import Tools

CALM_PERCENT = 5.0
"""Of a core. A run during which others took more is repeated; whether a run counts never depends on
its figures.
"""


@dataclass(frozen=True, slots=True)
class Runner:
    """`rounds` runs of each variant that count, each with at most `attempts` tries to find the
    machine calm.

    Before each, it waits `patience` seconds at most for others to be done.
    """

    tools: Tools
    rounds: int = 5
    attempts: int = 4
    patience: float = 10

    def run(self, case: Case) -> dict[str, Any]:
        """The readings and medians of a case, as they stand in the JSON file."""
        readings: dict[str, list[Reading]] = {variant.name: [] for variant in case.variants}
        begun = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
        for _ in range(self.rounds):
            for variant in case.variants:
                hub = readings[case.variants[0].name]
                size = round(hub[-1]["delivery_bytes"]) if hub else 0
                readings[variant.name].append(self._calmest(variant, size))
        medians = {name: median(runs) for name, runs in readings.items()}
        variants = {
            name: {"median": medians[name], "runs": runs} for name, runs in readings.items()
        }
        return {
            "title": case.title,
            "kind": case.kind,
            "begun": begun,
            "commit": machine.commit(),
            "variants": variants,
            **(compare(readings) if case.kind == "fanout" else {}),
        }

    def _calmest(self, variant: Variant, size: int) -> Reading:
        tries: list[Reading] = []
        while len(tries) < self.attempts:
            machine.wait_until_calm(CALM_PERCENT, self.patience)
            tries.append(self._once(variant, size))
            if _disturbance(tries[-1]) <= CALM_PERCENT:
                break
            sys.stderr.write(
                f"{variant.name}: others took {_disturbance(tries[-1]):.0f} % of a core\n"
            )
        return min(tries, key=_disturbance)

    def _once(self, variant: Variant, size: int) -> Reading:
        with (
            tempfile.TemporaryDirectory() as directory,
            self._served(variant, size, Path(directory)) as door,
            ExitStack() as stack,
        ):
            if variant.beside is not None:
                stack.enter_context(beside(self.tools.load, variant.beside, door))
            return run(self.tools.load, variant.load, door)

    @contextmanager
    def _served(self, variant: Variant, size: int, directory: Path) -> Iterator[Door]:
        load, server = variant.load, variant.server
        started: AbstractContextManager[Door]
        if isinstance(server, EventHub):
            started = server.start(directory)
        elif server == "limit":
            started = Limit(
                self.tools.limit, load.subscribers, size, load.batch, load.rate, load.lockstep
            ).start()
        else:
            started = server(directory)
        with started as door:
            yield door


def median(runs: list[Reading]) -> Reading:
    """Of each figure; of what must not happen, the sum. `spread`: how far apart the runs' CPU
    figures are, relative to the median.
    """
    result = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    for name in ("missing", "surplus", "refused", "failed", "closed"):
        result[name] = sum(run[name] for run in runs)
    costs = [
        run["delivery_cpu_us"] or run["event_cpu_us"] or run["handshake_cpu_us"] for run in runs
    ]
    result["spread"] = (max(costs) - min(costs)) / statistics.median(costs) if any(costs) else 0.0
    return result


def compare(readings: dict[str, list[Reading]]) -> dict[str, float]:
    """`ratio`: of the limit's CPU time for a delivery to EventHub's, by the medians; `ratio_least`
    and `ratio_most` by single rounds.

    `net`: EventHub's time, less the publish request's share as publishing alone costs it.
    """
    medians = {name: median(runs) for name, runs in readings.items()}
    hub, limit, publishing = medians.get(HUB), medians.get(LIMIT), medians.get(PUBLISHING)
    result: dict[str, float] = {}
    if hub and publishing:
        result["net"] = hub["delivery_cpu_us"] * (
            1 - publishing["request_cpu_us"] / hub["request_cpu_us"]
        )
    if hub and limit:
        rounds = [
            one["delivery_cpu_us"] / other["delivery_cpu_us"]
            for one, other in zip(readings[LIMIT], readings[HUB], strict=True)
        ]
        result |= {
            "ratio": limit["delivery_cpu_us"] / hub["delivery_cpu_us"],
            "ratio_least": min(rounds),
            "ratio_most": max(rounds),
        }
        if "net" in result:
            result["net_ratio"] = limit["delivery_cpu_us"] / result["net"]
    return result


def _disturbance(reading: Reading) -> float:
    return reading["others_pct"] + reading["stolen_pct"]
