"""`python -m tests.bench.crowd`: ten thousand clients of a lost node reconnect to another node at
once, and resume (on Redis).
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench import cores
from tests.bench.servers import EventHub
from tests.bench.tools import build
from tests.harness.clients import http, metric
from tests.harness.redis_servers import RedisServer

CLIENTS, POSITIONS, EVENTS = 10_000, 3, 40
"""Clients stopped at one of so many positions, the last EVENTS before the end."""


def main() -> None:
    """Print how long it took, and what the broker was asked."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with cores.pinned(cores.SERVER), RedisServer(directory / "redis") as redis:
            node = EventHub(broker=redis.url)
            (directory / "lost").mkdir()
            (directory / "left").mkdir()
            with node.start(directory / "lost") as lost:
                url = f"http://127.0.0.1:{lost.port}/v1/channels/bench.crowd"
                ids = [
                    http.post(url, content='{"t":1,"pad":"x"}').json()["id"]
                    for _ in range(EVENTS + POSITIONS)
                ]
            with node.start(directory / "left") as left:
                come_back(build(directory).load, redis, left.pid, left.port, ids[:POSITIONS])


def come_back(program: Path, redis: RedisServer, pid: int, port: int, ids: list[str]) -> None:
    """All clients reconnect at once, an equal share from each position."""
    url = f"http://127.0.0.1:{port}"
    asked = reads(redis)
    begin = time.perf_counter()
    with cores.pinned(cores.CLIENT):
        share = [
            str(CLIENTS // len(ids)),
            "--server-pid",
            str(pid),
            "--port",
            str(port),
            "--hold",
            "30",
            "--deadline",
            "60",
        ]
        ready = ["--ready", '{"type":"subscribed"', "--subscribers", *share]
        crowds = [
            subprocess.Popen(
                [program, "--path", f"/v1/ws?channel=bench.crowd&since={place}", *ready]
            )
            for place in ids
        ]
    resumed = CLIENTS // len(ids) * len(ids)
    due = sum(CLIENTS // len(ids) * (EVENTS + len(ids) - 1 - number) for number in range(len(ids)))
    try:
        while metric(url, 'eventhub_events_delivered_total{type="bench"}') < due:
            assert time.perf_counter() - begin < 60, "not all have what they missed"
            time.sleep(0.1)  # between looks at the server's metrics
        seconds = time.perf_counter() - begin
        assert metric(url, "eventhub_gaps_total") == 0
        assert metric(url, "eventhub_resumed_total") == resumed
        sys.stdout.write(
            f"{resumed:,} clients resumed from {len(ids)} positions and "
            f"had {due:,} events in {seconds:.1f} s; "
            f"Redis was asked for history {reads(redis) - asked} times\n"
        )
    finally:
        for crowd in crowds:
            crowd.kill()
            crowd.wait()


def reads(redis: RedisServer) -> int:
    """How often a script has run there so far."""
    for line in bytes(redis.call("INFO", "commandstats")).decode().splitlines():
        if line.startswith("cmdstat_evalsha:calls="):
            return int(line.split("=")[1].split(",")[0])
    return 0


if __name__ == "__main__":
    main()
