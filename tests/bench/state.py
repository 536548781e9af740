"""`python -m tests.bench.state`: a state of 10,000 keys is delivered to 1,000 readers that come at
once (on Redis).
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import cores
from tests.bench.crowd import reads
from tests.bench.servers import EventHub
from tests.bench.tools import build
from tests.harness.clients import http, metric
from tests.harness.redis_servers import RedisServer

KEYS, READERS = 10_000, 1_000
BATCH = 1_000
SECONDS = 240


def main() -> None:
    """Print how long it took, the server's CPU time, and what the broker was asked."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with cores.pinned(cores.SERVER), RedisServer(directory / "redis") as redis:
            node = EventHub(broker=redis.url)
            with node.start(directory) as server:
                url = f"http://127.0.0.1:{server.port}"
                for first in range(0, KEYS, BATCH):
                    orders = [{"id": n, "status": "new"} for n in range(first, first + BATCH)]
                    answer = http.post(f"{url}/v1/channels/orders.all", json=orders)
                    assert answer.status_code == 201, answer.text
                deliver(build(directory).load, redis, server.pid, server.port)


def deliver(program: Path, redis: RedisServer, pid: int, port: int) -> None:
    """All readers come at once, and read the whole state."""
    url = f"http://127.0.0.1:{port}"
    asked, cpu = reads(redis), metric(url, "process_cpu_seconds_total")
    begin = time.perf_counter()
    path = "/v1/ws?channel=orders.all&since=state"
    ready = ["--path", path, "--ready", '{"type":"subscribed"', "--subscribers", str(READERS)]
    rest = ["--server-pid", str(pid), "--port", str(port), "--hold", str(SECONDS)]
    with cores.pinned(cores.CLIENT):
        readers = subprocess.Popen([program, *ready, *rest, "--deadline", str(2 * SECONDS)])
    try:
        while metric(url, 'eventhub_events_delivered_total{type="orders"}') < KEYS * READERS:
            assert time.perf_counter() - begin < SECONDS, "not all have the state"
            time.sleep(0.2)  # between looks at the server's metrics
        seconds = time.perf_counter() - begin
        cpu = metric(url, "process_cpu_seconds_total") - cpu
        assert metric(url, "eventhub_gaps_total") == 0
        pages = reads(redis) - asked
        sys.stdout.write(
            f"{READERS:,} readers had a state of {KEYS:,} keys in {seconds:.1f} s, with "
            f"{1e6 * cpu / (KEYS * READERS):.2f} µs of CPU time an event; "
            f"Redis was asked for {pages} pages\n"
        )
    finally:
        readers.kill()
        readers.wait()


if __name__ == "__main__":
    main()
