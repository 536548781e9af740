"""`python -m tests.bench.scrape`: how long a scrape of /metrics takes with as many connections as
possible, and how much it delays other requests.
"""

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.bench import cores
from tests.bench.cases import MOST
from tests.bench.load import Door, Load, Reading, beside, run
from tests.bench.servers import EventHub
from tests.bench.tools import build
from tests.harness.background import repeated
from tests.harness.clients import metric

HONEST = Load(50, publishers=2, rate=100, warm=1, seconds=4)
CHANNELS = 1000
CROWD = (MOST - 300) // CHANNELS * CHANNELS
"""Connections; the server's process has a reserve of open files, and the honest ones need some."""
SCRAPES, ROUNDS = 100, 5
EVERY = 0.1
"""Seconds between two scrapes while others are looked at. Prometheus takes fifteen."""


def main() -> None:
    """Print what a scrape takes with few and with many connections, in one and in many channels,
    and latencies beside it.
    """
    with tempfile.TemporaryDirectory() as name:
        program = build(Path(name)).load
        for connections, channels in ((0, 1), (CROWD, 1), (CROWD, CHANNELS)):
            directory = Path(name) / f"{connections}-{channels}"
            directory.mkdir()
            with EventHub(heartbeat=30).start(directory) as door, ExitStack() as stack:
                if connections:
                    stack.enter_context(beside(program, Load(connections, channels=channels), door))
                measure(program, door)


def measure(program: Path, door: Door) -> None:
    """One line on scrapes, one on what subscribers notice of them."""
    url = f"http://127.0.0.1:{door.port}"
    open_, channels = (metric(url, f"eventhub_{name}") for name in ("connections", "channels"))
    with httpx.Client() as client, cores.pinned(cores.CLIENT):
        before, seconds, size = metric(url, "process_cpu_seconds_total"), list[float](), 0
        for _ in range(SCRAPES):
            begin = time.perf_counter()
            size = len(client.get(f"{url}/metrics").content)
            seconds.append(time.perf_counter() - begin)
        cpu = (metric(url, "process_cpu_seconds_total") - before) / (SCRAPES + 1)
    places = statistics.quantiles(seconds, n=100)
    sys.stdout.write(
        f"{open_:,.0f} connections in {channels:,.0f} channels: "
        f"a scrape of {size:,} bytes took {min(seconds) * 1000:.1f} ms at least, "
        f"{places[49] * 1000:.1f} in the middle, {places[98] * 1000:.1f} at the 99th percentile; "
        f"{cpu * 1000:.1f} ms of CPU time\n"
    )
    quiet, scraped = list[Reading](), list[Reading]()
    for _ in range(ROUNDS):
        quiet.append(run(program, HONEST, door, spin=False))
        with (
            httpx.Client() as client,
            repeated(lambda: client.get(f"{url}/metrics").raise_for_status(), EVERY),
        ):
            scraped.append(run(program, HONEST, door, spin=False))
    for name in ("p50_us", "p99_us", "max_us"):
        calm, rough = (
            statistics.median(reading[name] for reading in readings) / 1000
            for readings in (quiet, scraped)
        )
        sys.stdout.write(
            f"  {name.removesuffix('_us')}: {calm:.2f} ms alone, {rough:.2f} ms "
            f"beside {1 / EVERY:.0f} scrapes a second\n"
        )


if __name__ == "__main__":
    main()
