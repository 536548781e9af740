"""What every experiment has: the load client, the sizes that it measures, and how a load is run."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.bench.load import Door, Load, Reading, run
from tests.bench.scale.cost import COSTS, Size
from tests.harness.clients import metric
from tests.harness.eventually import eventually

QUICK = 2


class Sample(NamedTuple):
    """One reading of one cost at one size."""

    cost: str
    size: Size
    value: float


@dataclass(frozen=True, slots=True)
class Measure:
    """`quick`: the smallest sizes alone, to see that an experiment works."""

    program: Path
    rounds: int = 1
    quick: bool = False

    def sizes(self, cost: str) -> tuple[Size, ...]:
        found = COSTS[cost].sizes
        return found[:QUICK] if self.quick else found

    def load(self, load: Load, door: Door) -> Reading:
        """Apply a load, and wait until the server has forgotten its connections."""
        reading = run(self.program, load, door)
        for fault in ("missing", "surplus", "refused", "failed", "closed"):
            assert not reading[fault], f"{reading[fault]:.0f} {fault} under {load}"
        url = f"http://127.0.0.1:{door.port}"
        eventually(
            "connections to be gone",
            lambda: metric(url, "eventhub_subscriptions"),
            lambda seen: seen == 0,
        )
        return reading
