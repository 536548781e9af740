"""`python -m tests.bench.patterns`: 1,000 readers of one pattern over 10,000 channels, at 2,000
events a second.
"""

import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from tests.bench import cores
from tests.bench.servers import EventHub
from tests.bench.tools import build
from tests.harness.clients import http, metric

CHANNELS, READERS = 10_000, 1_000
BATCH, PAUSE = 40, 0.02
"""Events of different channels in one request, and the time between two: 2,000 events a second."""
SECONDS = 10.0
DEADLINE = 240


def main() -> None:
    """Print the server's CPU time for a reader that comes, and for a delivery."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with cores.pinned(cores.SERVER), EventHub().start(directory) as server:
            url = f"http://127.0.0.1:{server.port}"
            for first in range(0, CHANNELS, 1_000):
                publish(url, range(first, first + 1_000))
            listen(build(directory).load, url, server.pid, server.port)


def listen(program: Path, url: str, pid: int, port: int) -> None:
    """All readers come at once; when each knows its positions, events are published."""
    arrival = cpu(url)
    ready = ["--path", "/v1/ws?channel=bench.>", "--ready", '"complete":true']
    rest = ["--server-pid", str(pid), "--port", str(port), "--hold", str(DEADLINE)]
    many = ["--subscribers", str(READERS), "--deadline", str(DEADLINE)]
    with cores.pinned(cores.CLIENT):
        readers = subprocess.Popen([program, *ready, *many, *rest])
    try:
        wait_for(url, "eventhub_pattern_subscribers", READERS)
        time.sleep(5)  # until the positions have been read
        begun = cpu(url)
        delivered, wall = steady(url)
        used = cpu(url) - begun
        sys.stdout.write(
            f"a reader that comes takes {1e3 * (begun - arrival) / READERS:.2f} ms; "
            f"{delivered:,.0f} deliveries in {wall:.1f} s took "
            f"{1e6 * used / delivered:.2f} µs of CPU time each, publishing included\n"
        )
    finally:
        readers.kill()
        readers.wait()


def steady(url: str) -> tuple[float, float]:
    """Publish for a while. Returns how many events were delivered, and the seconds."""
    before, begin, sent = deliveries(url), time.perf_counter(), 0
    numbers = count()
    while (now := time.perf_counter()) < begin + SECONDS:
        publish(url, [next(numbers) % CHANNELS for _ in range(BATCH)])
        sent += BATCH
        time.sleep(max(0.0, begin + sent / BATCH * PAUSE - now))
    while deliveries(url) - before < sent * READERS:
        assert time.perf_counter() - begin < DEADLINE, "not all has been delivered"
        time.sleep(0.1)  # between looks at the server's metrics
    assert metric(url, "eventhub_gaps_total") == 0
    return deliveries(url) - before, time.perf_counter() - begin


def publish(url: str, numbers: "range | list[int]") -> None:
    """An event in each of these channels."""
    items = [
        {"channel": f"bench.{number}", "data": {"t": 1, "pad": "x" * 40}} for number in numbers
    ]
    answer = http.post(f"{url}/v1/events", json=items)
    assert answer.status_code == 201, answer.text


def wait_for(url: str, name: str, value: int) -> None:
    """Until a metric has this value."""
    begin = time.perf_counter()
    while metric(url, name) != value:
        assert time.perf_counter() - begin < DEADLINE, f"{name} is {metric(url, name)}"
        time.sleep(0.2)  # between looks at the server's metrics


def deliveries(url: str) -> float:
    return metric(url, 'eventhub_events_delivered_total{type="bench"}')


def cpu(url: str) -> float:
    return metric(url, "process_cpu_seconds_total")


if __name__ == "__main__":
    main()
