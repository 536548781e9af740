"""The costs of several nodes over one broker, of the broker itself, and of workers."""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench import cores
from tests.bench.load import Door, Load, run
from tests.bench.scale import probe
from tests.bench.scale.measure import Measure, Sample
from tests.bench.scale.sender import send
from tests.bench.scale.single import event, keep
from tests.bench.servers import EventHub
from tests.harness.clients import metric
from tests.harness.nats_servers import Server as NatsServer
from tests.harness.ports import free_port
from tests.harness.redis_servers import RedisServer

RATES = {1: 500, 10: 200, 100: 40}
"""Requests a second by the events of each: few enough for all nodes and the broker on one core."""
SECONDS, WARM = 0.7, 0.1
SETTLED = 0.2
"""Seconds after which the events of a load have arrived everywhere; that they have is checked."""
PATIENCE = 120


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes on one broker; `sent` tells how many bytes the broker has sent so far."""

    doors: list[Door]
    broker: int
    sent: Callable[[], float]


def on_redis(measure: Measure) -> Iterator[Sample]:
    with _redis() as redis, _nodes(redis.url) as doors:
        cluster = Cluster(
            doors,
            probe.pid_of(redis),
            lambda: probe.redis_info(redis, "total_net_output_bytes"),
        )
        yield from _by_nodes("redis", measure, cluster)


def on_nats(measure: Measure) -> Iterator[Sample]:
    monitor = free_port()
    with (
        cores.pinned(cores.SERVER),
        NatsServer("-m", str(monitor)) as nats,
        _nodes(nats.url) as doors,
        cores.pinned(cores.CLIENT),
    ):
        cluster = Cluster(doors, probe.pid_of(nats), lambda: probe.nats_info(monitor, "out_bytes"))
        yield from _by_nodes("nats", measure, cluster)


def redis_memory(measure: Measure) -> Iterator[Sample]:
    """What Redis says that it uses."""
    with _redis() as redis, _nodes(redis.url, 1) as (door,):

        def used() -> float:
            return probe.redis_info(redis, "used_memory") / 1024

        before, made = used(), 0
        for size in measure.sizes("redis channels"):
            paths = [f"/v1/channels/bench.{number}" for number in range(made, size[0])]
            send(door.port, paths, event(128))
            made = size[0]
            yield Sample("redis channels", size, used() - before)
        before, made = used(), 0
        for size in measure.sizes("redis history"):
            keep(door.port, size[0] - made, 128)
            made = size[0]
            yield Sample("redis history", size, used() - before)


def workers(measure: Measure) -> Iterator[Sample]:
    with _redis() as redis:
        for size in measure.sizes("workers"):
            with _nodes(redis.url, 1, workers=size[0]) as (door,):
                yield Sample("workers", size, probe.pss_kib(door.pid))


def _by_nodes(name: str, measure: Measure, cluster: Cluster) -> Iterator[Sample]:
    """Each round has a channel of its own, which one node after the other begins to follow."""
    sizes = measure.sizes(name)
    for turn in range(measure.rounds):
        with ExitStack() as stack:
            listening = 0
            for nodes in sorted({nodes for nodes, _ in sizes}):
                for door in cluster.doors[listening:nodes]:
                    stack.enter_context(_subscriber(measure.program, door, turn))
                listening = nodes
                for batch in [batch for other, batch in sizes if other == nodes]:
                    costs = _request(measure.program, cluster, turn, listening, batch)
                    for what, value in zip(("nodes", "", "sends"), costs, strict=True):
                        yield Sample(f"{name} {what}".strip(), (nodes, batch), value)


def _request(
    program: Path, cluster: Cluster, turn: int, listening: int, batch: int
) -> tuple[float, float, float]:
    """CPU time of nodes and broker, and bytes that the broker sent, for each request."""
    doors = cluster.doors[:listening]
    pids = [door.pid for door in doors]
    load = Load(publishers=8, batch=batch, rate=RATES[batch], warm=WARM, seconds=SECONDS)
    door = Door(pids[0], doors[0].port, publish=f"/v1/channels/bench.{turn}")
    had = [_delivered(door) for door in doors]
    sent, nodes, broker = cluster.sent(), probe.cpu_us(pids), probe.cpu_us([cluster.broker])
    reading = run(program, load, door, spin=False)
    time.sleep(SETTLED)
    nodes, broker = probe.cpu_us(pids) - nodes, probe.cpu_us([cluster.broker]) - broker
    sent = cluster.sent() - sent
    events = reading["accepted"]
    for door, before in zip(doors, had, strict=True):
        assert _delivered(door) - before == events, f"a node has not had all {events:.0f} events"
    requests = events / batch
    return nodes / requests, broker / requests, sent / requests


def _delivered(door: Door) -> float:
    name = 'eventhub_events_delivered_total{type="bench"}'
    return metric(f"http://127.0.0.1:{door.port}", name)


@contextmanager
def _subscriber(program: Path, door: Door, turn: int) -> Iterator[None]:
    """One that reads until the context ends."""
    words = ["--port", door.port, "--path", door.listen.format(turn), "--ready", door.ready]
    words += ["--subscribers", 1, "--hold", PATIENCE, "--deadline", PATIENCE]
    url = f"http://127.0.0.1:{door.port}"
    before = metric(url, "eventhub_subscriptions")
    with cores.pinned(cores.CLIENT):
        process = subprocess.Popen(
            [str(word) for word in (program, *words)], stdout=subprocess.DEVNULL
        )
    try:
        while metric(url, "eventhub_subscriptions") <= before:
            assert process.poll() is None, "the subscriber has ended"
            time.sleep(0.02)  # between looks at the server's metrics
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def _redis() -> Iterator[RedisServer]:
    with (
        tempfile.TemporaryDirectory() as directory,
        cores.pinned(cores.SERVER),
        RedisServer(Path(directory)) as redis,
        cores.pinned(cores.CLIENT),
    ):
        yield redis


@contextmanager
def _nodes(broker: str, count: int = 8, workers: int = 1) -> Iterator[list[Door]]:
    with ExitStack() as stack:
        doors = []
        for _ in range(count):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            doors.append(
                stack.enter_context(EventHub(broker=broker, workers=workers).start(directory))
            )
        yield doors
