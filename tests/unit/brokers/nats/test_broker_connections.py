"""brokers/nats/broker.py: one session after the other, whatever ends them."""

import asyncio
from pathlib import Path

import pytest

from eventhub.brokers.nats import broker as broker_module
from eventhub.brokers.nats.message import offset_of
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.listening import serving
from tests.unit.brokers.nats.brokers import FULL, Node, ended, event, node
from tests.unit.brokers.nats.links import add_stream, put
from tests.unit.brokers.nats.server import FakeNats

pytestmark = pytest.mark.usefixtures("without_pauses")


@in_loop
async def test_after_a_lost_connection_subscribed_channels_are_opened_again_with_a_gap() -> None:
    async with node() as each:
        await each.broker.subscribe("log.a")
        each.server.cut()
        await async_eventually("a gap", lambda: ("log.a", 2) in each.gaps)
        put(each.server, "log.a")
        await async_eventually("the event", lambda: len(each.events) == 1)
        assert each.events[0].offset == offset_of(1, 7)


@in_loop
async def test_while_there_is_no_server_it_says_why_and_then_connects() -> None:
    server = FakeNats()
    async with serving(server):
        each = Node(server)
    async with each.running():
        await each.says("no connection to a NATS server: ")
        async with serving(server):
            await each.says(None)
        await each.says("NATS server")


@in_loop
async def test_a_server_without_jetstream_is_told() -> None:
    server = FakeNats()
    server.answers["INFO"] = lambda subject, body: FULL
    async with serving(server):
        each = Node(server)
        async with each.running():
            await each.says("JetStream is not available on the NATS server: insufficient")
            server.answers.clear()
            await each.says(None)


@in_loop
async def test_credentials_are_read_for_each_connection(tmp_path: Path) -> None:
    seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
    file = tmp_path / "it.nk"
    file.write_text(seed)
    async with node(options=f"?prefix=p&nkey={file}") as each:
        file.write_text("s3cret")
        each.server.cut()
        await each.says("it.nk cannot be used")
        assert "s3cret" not in str(each.broker.unready())
        file.write_text(seed)
        await each.says(None)
        assert [login["nkey"][0] for login in each.server.logins] == ["U", "U"]


@in_loop
async def test_an_answer_that_nobody_foresaw_ends_the_link_and_not_the_node() -> None:
    async with node() as each:
        await each.broker.publish([event()])
        each.server.answers["STREAM.INFO"] = lambda subject, body: {"state": None}
        each.server.answers["INFO"] = lambda subject, body: None  # the next link is not ready
        await each.says("the NATS server's answer cannot be processed: TypeError")
        each.server.answers.clear()
        each.server.cut()
        await each.says(None)
        assert not each.task.done()


@in_loop
async def test_a_fault_that_passes_is_told_and_keeps_the_connection() -> None:
    async with node() as each:
        await each.broker.publish([event()])
        each.server.answers["STREAM.INFO"] = lambda subject, body: FULL
        await each.says("cannot be used: insufficient resources")
        each.server.answers.clear()
        await each.says(None)
        assert len(each.server.logins) == 1


@pytest.mark.parametrize("count", [1, 2])
@in_loop
async def test_a_server_that_keeps_failing_is_left_if_there_is_another(count: int) -> None:
    servers = [FakeNats() for _ in range(count)]
    for server in servers:
        add_stream(server)
        server.answers["STREAM.INFO"] = lambda subject, body: FULL
    async with serving(servers[0]), serving(servers[-1] if count > 1 else FakeNats()):
        each = Node(*servers)
        async with each.running():
            subscribing = asyncio.create_task(each.broker.subscribe("log.a"))
            if count > 1:
                await async_eventually("both", lambda: all(len(one.logins) > 1 for one in servers))
            else:
                await async_eventually("ticks", lambda: servers[0].asked("STREAM.NAMES") > 30)
                assert len(servers[0].logins) == 1
            subscribing.cancel()
            await ended(subscribing)


@in_loop
async def test_once_it_is_being_cancelled_nothing_is_told() -> None:
    async with node() as each:
        await each.broker.subscribe("log.a")
        each.task.cancel()
        put(each.server, "log.a")
        await asyncio.gather(each.task, return_exceptions=True)
        assert each.task.cancelled()
        before = list(each.events)
        put(each.server, "log.a")
        await asyncio.sleep(0)
        assert each.events == before
        await async_eventually("the connection's end", lambda: not each.server.connections)


@in_loop
async def test_the_pause_between_two_connections_grows_to_its_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = FakeNats()
    async with serving(server):
        each = Node(server)
    monkeypatch.setattr(broker_module, "BACKOFF_SECONDS", (2, 40))
    bounds: list[float] = []

    def smaller(*values: float) -> float:
        bounds.append(min(values))
        return 0

    monkeypatch.setattr(broker_module, "min", smaller, raising=False)
    async with each.running():
        await async_eventually("attempts", lambda: len(bounds) > 6)
        assert bounds[:7] == [2, 4, 8, 16, 32, 40, 40]
        async with serving(server):
            await each.says(None)
            bounds.clear()
        await async_eventually("attempts", lambda: len(bounds) > 1)
        assert bounds[:2] == [2, 4]
