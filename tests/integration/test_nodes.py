"""Several nodes, real clients, real faults: no acknowledged event is lost, comes twice or out of
order, and no gap is silent.
"""

import asyncio
import operator
import os
import random
import signal
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests import SETTINGS
from tests.harness import nats_servers
from tests.harness.clients import WsClient, http
from tests.harness.eventhub import EventHubServer
from tests.harness.nodes import Books, Trial, trial
from tests.harness.proxy import Proxy
from tests.harness.redis_servers import RedisServer

Start = Callable[..., EventHubServer]
ROUNDS = int(SETTINGS.get("EVENTHUB_TEST_ROUNDS", "1"))
"""How often each fault is injected; more for RESULTS.md (`make faults`)."""
PAUSE = 0.04 if ROUNDS == 1 else 0.02
"""Seconds between two events of a publisher. The load takes most of a run's processor time."""
CONFIG = """
broker: {broker}
log: {{level: warning}}
shutdown: {{grace: 2, reconnect_within: 0.2}}
channels:
  chat: {{payload: chat, history: {{events: 100000, age: 1h}}, presence: true,
          publish: [client, producer]}}
"""


def test_after_a_restart_without_the_log_every_reader_gets_a_gap(start: Start) -> None:
    """On one node and in memory, to show that the accounts find lost events, and that gaps explain
    them.
    """

    async def scenario() -> None:
        hub = start()
        async with trial([hub], pause=PAUSE) as running:
            await running.more(100)
            await asyncio.to_thread(hub.kill)
            await asyncio.to_thread(hub.start)
            running.faults += 1
            await running.more(100)
        books = running.books()
        assert books.clean, books
        assert books.gaps >= len(running.readers)

    asyncio.run(scenario())


@pytest.mark.proof
def test_a_node_on_sqlite_that_is_killed_again_and_again_loses_nothing_and_causes_no_gap(
    start: Start,
) -> None:
    async def scenario() -> None:
        hub = start(CONFIG.format(broker="sqlite:///events.db"))
        async with trial([hub], pause=PAUSE) as running:
            for _ in range(4):
                await running.more(100)
                await asyncio.to_thread(hub.kill)
                await asyncio.to_thread(hub.start)
                running.faults += 1
            await asyncio.to_thread(hub.restart)
            running.faults += 1
        books = running.books()
        assert books.clean, books
        assert books.gaps == 0, "a restart is no gap where the log survives"

    asyncio.run(scenario())


class Redis:
    """A Redis whose log survives kill -9: every write is on the disk before it is answered."""

    def __init__(self, directory: Path) -> None:
        self.server = RedisServer(directory, "--appendonly", "yes", "--appendfsync", "always")
        self.kill, self.start = self.server.kill, self.server.start

    def url(self, port: int | None = None) -> str:
        return f"redis://127.0.0.1:{port or self.server.port}"

    def empty(self) -> None:
        self.server.call("FLUSHALL")


class Nats:
    """A nats-server with JetStream on the disk."""

    def __init__(self, directory: Path) -> None:
        self.server = nats_servers.Server()
        self.kill, self.start = self.server.kill, self.server.start

    def url(self, port: int | None = None) -> str:
        return f"nats://127.0.0.1:{port or self.server.port}"

    def empty(self) -> None:
        self.kill()
        self.server.wipe()
        self.start()


Backend = Redis | Nats


@pytest.fixture(params=[Redis, pytest.param(Nats, marks=pytest.mark.proof)])
def backend(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Backend]:
    """A broker for this test alone. `make proofs` has NATS, too."""
    server: Backend = request.param(tmp_path_factory.mktemp("backend"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def nodes(start: Start, backend: Backend) -> list[EventHubServer]:
    """Three nodes on it."""
    return [start(CONFIG.format(broker=backend.url())) for _ in range(3)]


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Callable[[Books], None]:
    """Add the accounts to the file that EVENTHUB_TEST_RESULTS names, for RESULTS.md."""

    def record(books: Books) -> None:
        if file := SETTINGS.get("EVENTHUB_TEST_RESULTS"):
            with Path(file).open("a") as results:
                results.write(f"{request.node.name}: {books}\n")

    return record


def run(
    nodes: list[EventHubServer],
    record: Callable[[Books], None],
    harm: Callable[[Trial], Awaitable[None]],
) -> Trial:
    """Cause the fault ROUNDS times while clients work. Then the accounts must show no fault."""

    async def scenario() -> Trial:
        async with trial(nodes, pause=PAUSE) as running:
            for _ in range(ROUNDS):
                await running.more(60)
                await harm(running)
                await running.more(60)
        return running

    running = asyncio.run(scenario())
    record(running.books())
    assert running.books().clean, running.books()
    return running


def test_killing_nodes_loses_nothing_and_causes_no_gap(
    nodes: list[EventHubServer], record: Callable[[Books], None]
) -> None:
    async def harm(running: Trial) -> None:
        for node in nodes:
            await asyncio.to_thread(node.kill)
            running.faults += 1
            await running.more(60)
            await asyncio.to_thread(node.start)

    assert run(nodes, record, harm).books().gaps == 0


def test_a_rolling_restart_of_all_nodes_loses_nothing(
    nodes: list[EventHubServer], record: Callable[[Books], None]
) -> None:
    async def harm(running: Trial) -> None:
        for node in nodes:
            await asyncio.to_thread(node.restart)
            running.faults += 1
            await running.more(20)

    assert run(nodes, record, harm).books().gaps == 0


def test_a_broker_that_is_killed_and_comes_back_with_its_log_causes_no_gap(
    nodes: list[EventHubServer], backend: Backend, record: Callable[[Books], None]
) -> None:
    async def harm(running: Trial) -> None:
        await asyncio.to_thread(backend.kill)
        running.faults += 1
        await asyncio.gather(*(readiness(node, 503) for node in nodes))
        await publish_in_vain(nodes[0])
        await asyncio.to_thread(backend.start)
        await asyncio.gather(*(readiness(node, 200) for node in nodes))

    assert run(nodes, record, harm).books().gaps == 0


def test_when_a_broker_comes_back_empty_every_reader_gets_a_gap(
    nodes: list[EventHubServer], backend: Backend, record: Callable[[Books], None]
) -> None:
    async def harm(running: Trial) -> None:
        await asyncio.to_thread(backend.empty)
        running.faults += 1

    running = run(nodes, record, harm)
    for reader in running.readers:
        for channel in running.channels:
            assert "reset" in [gap["reason"] for gap in reader.gaps[channel]]


@pytest.mark.parametrize(
    "fault",
    [
        "stall",
        pytest.param("cut", marks=pytest.mark.proof),
        pytest.param("half_close", marks=pytest.mark.proof),
    ],
)
def test_a_failing_connection_between_node_and_broker_causes_no_gap(
    start: Start, backend: Backend, fault: str, record: Callable[[Books], None]
) -> None:
    async def scenario() -> Trial:
        proxy = Proxy(backend.server.port)
        await proxy.start()
        async with proxy:
            nodes = [
                await asyncio.to_thread(start, CONFIG.format(broker=url))
                for url in (backend.url(), backend.url(proxy.port))
            ]
            async with trial(nodes, pause=PAUSE) as running:
                for _ in range(ROUNDS):
                    await running.more(60)
                    getattr(proxy, fault)()
                    running.faults += 1
                    if fault == "stall":
                        await readiness(nodes[1], 503)
                    proxy.heal()
                    await readiness(nodes[1], 200)
                    await running.more(60)
            return running

    running = asyncio.run(scenario())
    record(running.books())
    assert running.books().clean, running.books()
    assert running.books().gaps == 0


def test_workers_that_are_killed_lose_nothing(
    start: Start, backend: Backend, record: Callable[[Books], None]
) -> None:
    hub = start(CONFIG.format(broker=backend.url()) + "workers: 3")

    async def harm(running: Trial) -> None:
        for _ in range(3):
            os.kill(random.choice(children(hub)), signal.SIGKILL)
            running.faults += 1
            await running.more(60)

    assert run([hub], record, harm).books().gaps == 0
    assert hub.stop() == 0


def children(hub: EventHubServer) -> list[int]:
    """The process ids of its workers."""
    assert hub.process is not None
    pid = hub.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def readiness(node: EventHubServer, status: int) -> None:
    """Wait until /readyz answers so. Meanwhile /livez answers 200."""

    def ready() -> int:
        assert http.get(f"{node.url}/livez").status_code == 200
        return http.get(f"{node.url}/readyz").status_code

    await asyncio.to_thread(
        node.eventually, f"/readyz to answer {status}", ready, lambda seen: seen == status
    )


async def publish_in_vain(node: EventHubServer) -> None:
    """Publish while the broker is away: it is refused within a bounded time, with Retry-After."""
    async with httpx.AsyncClient(verify=False, trust_env=False, timeout=120) as client:
        answer = await client.post(
            f"{node.url}/v1/channels/chat.vain", content='{"sender":"a","text":"b"}'
        )
        assert answer.status_code == 503
        assert answer.json()["code"] == "broker_unavailable"
        assert answer.headers["retry-after"]


def test_members_are_counted_over_all_nodes_and_those_of_a_killed_node_leave(
    nodes: list[EventHubServer],
) -> None:
    def members(node: EventHubServer) -> list[str]:
        answer = http.get(f"{node.url}/v1/channels/chat.here/presence").json()
        assert answer["count"] == len(answer["members"])
        return sorted(member["id"] for member in answer["members"])

    def until(expected: list[str], among: list[EventHubServer]) -> None:
        for node in among:
            node.eventually(
                f"members {expected}", partial(members, node), partial(operator.eq, expected)
            )

    with ExitStack() as stack:
        clients = [stack.enter_context(WsClient(node.ws_url)) for node in nodes]
        for client, member in zip(clients, ("ana", "bob", "ana"), strict=True):
            client.subscribe("chat.here", presence=True, member={"id": member, "data": {"at": 1}})
        until(["ana", "bob"], nodes)
        assert clients[0].until("join")["member"] == {"id": "bob", "data": {"at": 1}}
        clients[1].send(type="update", channel="chat.here", data={"at": 2})
        assert clients[0].until("update")["member"] == {"id": "bob", "data": {"at": 2}}
        assert clients[2].until("update")["member"] == {"id": "bob", "data": {"at": 2}}
        nodes[1].kill()
        until(["ana"], [nodes[0], nodes[2]])
        assert clients[0].until("leave")["member"] == {"id": "bob", "data": {"at": 2}}
        nodes[1].start()
        until(["ana"], nodes)
        clients[2].connection.close()
        until(["ana"], nodes)
        clients[0].connection.close()
        until([], nodes)


def test_foreign_messages_on_the_broker_s_topics_end_no_node(start: Start, tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        hub = start(CONFIG.format(broker=redis.url))
        with WsClient(hub.ws_url) as client:
            client.subscribe("chat.a")
            for topic in ("eventhub:0:{*nodes}", "eventhub:0:{chat.a}"):
                for message in (
                    b"nonsense",
                    b"",
                    b"[]",
                    b"\xff\n\xff",
                    b"e 1 2 x y\n",
                    b'{"node":["x"]}',
                ):
                    assert redis.call("PUBLISH", topic, message) == 1
            assert (
                http.post(
                    f"{hub.url}/v1/channels/chat.a", content='{"sender":"a","text":"b"}'
                ).status_code
                == 201
            )
            assert client.until("event")["data"]["text"] == "b"
        assert hub.stop() == 0


def test_a_node_that_cannot_go_on_ends_with_an_exit_code_that_says_so(start: Start) -> None:
    hub = start(CONFIG.format(broker="sqlite:///events.db"))
    (hub.config.parent / "events.db").rename(hub.config.parent / "elsewhere.db")
    assert hub.process is not None
    assert hub.process.wait(timeout=120) == 1
    assert "hub_ended" in hub.log.read_text()


def test_a_publish_that_waits_for_a_stalled_broker_is_answered_when_the_server_stops(
    start: Start, tmp_path: Path
) -> None:
    with RedisServer(tmp_path / "redis") as redis, ThreadPoolExecutor(1) as other:
        hub = start(CONFIG.format(broker=redis.url))
        redis.send_signal(signal.SIGSTOP)
        try:
            waiting = other.submit(
                http.post, f"{hub.url}/v1/channels/chat.a", content='{"sender":"a","text":"b"}'
            )
            hub.answers("/readyz", 503)
            assert hub.stop() == 0
            answer = waiting.result(10)
        finally:
            redis.send_signal(signal.SIGCONT)
        assert (
            answer.status_code,
            answer.json()["code"] in {"shutting_down", "broker_unavailable"},
        ) == (503, True)
        assert answer.headers["retry-after"]
        assert "Traceback" not in hub.log.read_text()
