"""`python -m tests.integration.rolling`: three nodes behind HAProxy are restarted one after the
other under thousands of clients and load.

Each is restarted as by an orchestrator: SIGTERM, the end, a start on the same port, readiness, then
the next node. Writes rolling.svg, and prints figures for RESULTS.md.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from eventhub.server.connections.drain_pace import BURST_SECONDS, LEAST_PACE
from eventhub.server.process.loop_lag import measure_loop_lag
from eventhub.server.security.connection_limits import raise_descriptors
from tests.harness.clients import busiest, metric
from tests.harness.eventhub import EventHubServer
from tests.harness.eventually import async_eventually
from tests.harness.haproxy import HAProxy
from tests.harness.nodes import Publisher
from tests.harness.redis_servers import RedisServer
from tests.integration.crowd import Crowd
from tests.integration.drawing import drawing

NODES = 3
MEMBERS = 20
"""Clients that are present in a room, where somebody watches them."""
SAMPLE_SECONDS = 0.25
LULL_SECONDS = 1
PLAY = 1.15
"""How much faster goodbyes may seem to come where they are counted: clients and nodes share two
cores, and their loops stall by turns.

As much of it as is seen, the clients' own longest stall, is added: what was sent meanwhile is
counted in the same second.
"""
SETTLE_SECONDS = 60
CONFIG = """
broker: {broker}
log: {{level: warning}}
proxies: [127.0.0.1/32]
limits: {{connections_per_address: 20000}}
shutdown: {{spread: {spread}, reconnect_within: {reconnect_within}}}
channels:
  chat: {{payload: chat, history: {{events: 100000, age: 1h}}, presence: true,
          publish: [client, producer]}}
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many of each, and how fast.

    `pause` is the seconds between an answer and a publisher's next event.
    """

    clients: int = 5000
    channels: int = 50
    publishers: int = 4
    pause: float = 0.1
    spread: float = 10
    reconnect_within: float = 5


@dataclass(slots=True)
class Restart:
    """The restart of one node. Times are on the monotonic clock."""

    node: str
    clients: int
    """It had so many."""
    begun: float
    ended: float = 0.0
    ready: float = 0.0
    goodbyes: list[float] = field(default_factory=list)
    stall: float = 0.0
    """Seconds that the clients' loop was late meanwhile, at most."""

    def stalled(self, seconds: float) -> None:
        """How late the clients' loop was."""
        self.stall = max(self.stall, seconds)

    def share(self, plan: Plan) -> float:
        """Clients that may be sent away in one second."""
        return (1 + BURST_SECONDS) * max(LEAST_PACE, self.clients / plan.spread)


@dataclass(slots=True)
class Roll:
    """What happened. `lost`, `duplicates` and `disorder` are over all clients and events."""

    plan: Plan
    restarts: list[Restart] = field(default_factory=list)
    samples: list[tuple[float, dict[str, int]]] = field(default_factory=list)
    """When, and the connections of each node."""
    returns: list[float] = field(default_factory=list)
    events: int = 0
    deliveries: int = 0
    retries: int = 0
    lost: int = 0
    duplicates: int = 0
    disorder: int = 0
    stored_twice: int = 0
    unacknowledged: int = 0
    gaps: int = 0
    cut: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)
    presence: list[str] = field(default_factory=list)
    """What the watcher was told of members that came or went."""

    def check(self) -> None:
        """Check that nothing was lost, and that clients moved no faster than configured."""
        faults = {
            name: found
            for name in (
                "lost",
                "duplicates",
                "disorder",
                "stored_twice",
                "unacknowledged",
                "gaps",
                "cut",
                "errors",
                "presence",
            )
            if (found := getattr(self, name))
        }
        assert not faults, faults
        assert len(self.restarts) == NODES
        assert len(self.returns) >= sum(restart.clients for restart in self.restarts)
        for restart in self.restarts:
            assert len(restart.goodbyes) == restart.clients > 0, (
                "each client was told, and nobody else"
            )
            most, share = busiest(restart.goodbyes, 1), restart.share(self.plan)
            told = (
                f"{most} clients of {restart.node} were sent away in {1 + restart.stall:.1f} "
                f"seconds; {share:.0f} may be in one"
            )
            assert most <= PLAY * share * (1 + restart.stall), told

    def __str__(self) -> str:
        head = (
            "node",
            "clients",
            "goodbyes over",
            "most in a second",
            "configured",
            "signal to exit",
            "exit to ready",
        )
        rows = [
            (one.node, f"{one.clients:,}", f"{one.goodbyes[-1] - one.goodbyes[0]:.1f} s",
             busiest(one.goodbyes, 1),
             f"{one.share(self.plan):.0f}", f"{one.ended - one.begun:.1f} s",
             f"{one.ready - one.ended:.1f} s")
            for one in self.restarts
        ]  # fmt: skip
        table = "\n".join(
            f"| {' | '.join(map(str, row))} |" for row in (head, ["---"] * len(head), *rows)
        )
        return (
            f"{table}\n\n"
            f"{self.events:,} events, {self.deliveries:,} deliveries. Lost {self.lost}, twice "
            f"{self.duplicates}, out of order "
            f"{self.disorder}, gaps {self.gaps}, stored twice {self.stored_twice}; "
            f"publishes never acknowledged {self.unacknowledged}, "
            f"repeated {self.retries}; connections that ended without a goodbye {self.cut}; "
            "comings and goings seen in presence "
            f"{len(self.presence)}; clients that met a node which was about to stop "
            f"{self.refused}; most that came back in a second "
            f"{busiest(self.returns, 1)}."
        )


def roll(directory: Path, plan: Plan) -> Roll:
    """Restart all nodes. Their logs stay in the directory."""
    raise_descriptors()
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(directory / "redis"))
        config = CONFIG.format(
            broker=redis.url, spread=plan.spread, reconnect_within=plan.reconnect_within
        )
        nodes = []
        for number in range(1, NODES + 1):
            (directory / f"node{number}").mkdir()
            nodes.append(EventHubServer(directory / f"node{number}", config))
            stack.callback(nodes[-1].kill)
        with ThreadPoolExecutor() as starting:
            list(starting.map(EventHubServer.start, nodes))
        balancer = stack.enter_context(HAProxy(directory / "haproxy", nodes))
        return asyncio.run(_roll(plan, nodes, balancer))


async def _roll(plan: Plan, nodes: list[EventHubServer], balancer: HAProxy) -> Roll:
    crowd, result = Crowd(balancer.port), Roll(plan)
    channels = [f"chat.c{number}" for number in range(plan.channels)]
    for name in channels:
        await crowd.add(name, [None] * ((plan.clients - MEMBERS - 1) // plan.channels))
    await crowd.add("chat.room", [f"m{number}" for number in range(MEMBERS)], watching=MEMBERS)
    publishers = [
        Publisher([balancer], [*channels, "chat.room"], f"p{number}", plan.pause)
        for number in range(plan.publishers)
    ]
    async with asyncio.TaskGroup() as tasks:
        sampling = tasks.create_task(_sample(balancer, result))
        publishing = [tasks.create_task(publisher.run()) for publisher in publishers]
        await asyncio.sleep(
            LULL_SECONDS
        )  # for the picture; and until nodes know one another's members
        crowd.presence.clear()
        for name, node in zip(balancer.connections, nodes, strict=True):
            result.restarts.append(await _restart(name, node, balancer, crowd))
        await asyncio.sleep(LULL_SECONDS)
        for publisher in publishers:
            publisher.stopping = True
        await asyncio.wait(publishing, timeout=SETTLE_SECONDS)
        sampling.cancel()
    await _judge(crowd, publishers, balancer.url, result)
    await crowd.end()
    return result


async def _restart(name: str, node: EventHubServer, balancer: HAProxy, crowd: Crowd) -> Restart:
    """Restart one node.

    Returns when it is ready, the balancer knows it, and all clients have reconnected.
    """
    assert node.process is not None
    clients = await asyncio.to_thread(
        metric, node.url, 'eventhub_connections{transport="websocket"}'
    )
    told, restart = len(crowd.goodbyes), Restart(name, clients=int(clients), begun=time.monotonic())
    watching = asyncio.create_task(measure_loop_lag(restart.stalled))
    assert await asyncio.to_thread(node.stop) == 0
    watching.cancel()
    restart.ended = time.monotonic()
    await asyncio.to_thread(node.start)
    restart.ready = time.monotonic()
    await async_eventually(
        f"{name} to be used again", lambda: balancer.is_up(name), seconds=SETTLE_SECONDS
    )
    await async_eventually(
        "all clients to come back",
        lambda: crowd.connected,
        lambda seen: seen == len(crowd.clients),
        seconds=SETTLE_SECONDS,
    )
    restart.goodbyes = crowd.goodbyes[told:]
    return restart


async def _sample(balancer: HAProxy, result: Roll) -> None:
    while True:
        result.samples.append((time.monotonic(), balancer.connections))
        await asyncio.sleep(SAMPLE_SECONDS)


async def _judge(crowd: Crowd, publishers: list[Publisher], url: str, result: Roll) -> None:
    """Compare every client's events with the channels' logs, and the logs with what was
    acknowledged.
    """
    acknowledged: dict[str, set[str]] = {}
    for channel, position, _ in (
        event for publisher in publishers for event in publisher.acknowledged
    ):
        acknowledged.setdefault(channel, set()).add(position)
    logs = {
        channel: await _log(url, channel)
        for channel in {client.channel for client in crowd.clients}
    }
    with suppress(AssertionError):  # the figures say what is missing
        await async_eventually(
            "each client to have the last event",
            lambda: all(
                client.offsets[-1:] == list(logs[client.channel])[-1:] for client in crowd.clients
            ),
            seconds=SETTLE_SECONDS,
        )
    for channel, log in logs.items():
        result.stored_twice += len(log) - len(set(log.values()))
        result.lost += sum(
            position not in log for position in map(_offset, acknowledged.get(channel, ()))
        )
    for client in crowd.clients:
        due = [offset for offset in logs[client.channel] if offset > _offset(client.start)]
        result.lost += len(set(due) - set(client.offsets))
        result.duplicates += len(client.offsets) - len(set(client.offsets))
        result.disorder += client.offsets != sorted(client.offsets)
        result.deliveries += len(client.offsets)
    result.events = sum(map(len, logs.values()))
    result.unacknowledged = sum(
        publisher.stopping and not publisher.ended for publisher in publishers
    )
    result.retries = sum(publisher.retries for publisher in publishers)
    result.returns, result.gaps, result.cut, result.refused = (
        crowd.returns,
        crowd.gaps,
        crowd.lost,
        crowd.refused,
    )
    result.errors, result.presence = crowd.errors, crowd.presence


async def _log(url: str, channel: str) -> dict[int, str]:
    """All stored events: texts by offset."""
    found: dict[int, str] = {}
    since = "earliest"
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        while True:
            page = (
                await client.get(
                    f"{url}/v1/channels/{channel}", params={"since": since, "limit": 1000}
                )
            ).json()
            found |= {_offset(event["id"]): event["data"]["text"] for event in page["events"]}
            since = page["position"]
            if since == page["head"]:
                return found


def _offset(position: str) -> int:
    return int(position.partition("-")[2])


def main() -> None:
    """Run it, print what happened, and draw it."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.integration.rolling", description=__doc__
    )
    parser.add_argument("--clients", type=int, default=Plan().clients, help="(%(default)s)")
    parser.add_argument(
        "--svg",
        type=Path,
        default=Path(__file__).with_name("rolling.svg"),
        help="where the picture goes",
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        result = roll(Path(directory), Plan(clients=options.clients))
    sys.stdout.write(f"{result}\n")
    shares = [restart.share(result.plan) for restart in result.restarts]
    options.svg.write_text(drawing(result.samples, result.restarts, shares, result.returns))
    result.check()


if __name__ == "__main__":
    main()
