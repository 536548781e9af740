"""brokers/nats/broker.py: between two attempts and two looks, it waits."""

import asyncio
import random

import pytest

from eventhub.brokers.nats import broker as broker_module
from eventhub.brokers.nats import session as session_module
from eventhub.brokers.nats.session import NatsSession
from eventhub.events.event import Earliest
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.harness.virtual_time import turns
from tests.unit.brokers.listening import serving
from tests.unit.brokers.nats.brokers import FULL, Node, ended, node
from tests.unit.brokers.nats.server import FakeNats

AGES = 3600.0


@pytest.fixture(autouse=True)
def _looks_are_rare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_module, "TICK_SECONDS", AGES)
    monkeypatch.setattr(broker_module, "BACKOFF_SECONDS", (0, 0))


@in_loop
async def test_a_session_looks_at_its_streams_in_turn_and_sees_the_end_of_its_link_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[NatsSession] = []
    tick = NatsSession.tick

    async def noted(session: NatsSession) -> str | None:
        looks.append(session)
        return await tick(session)

    monkeypatch.setattr(NatsSession, "tick", noted)
    async with node() as each:
        await turns()
        assert len(looks) == 1
        each.server.cut()
        await async_eventually("the next session", lambda: len(looks) == 2)


@in_loop
async def test_a_call_waits_before_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker_module, "RETRY_SECONDS", AGES)
    async with node() as each:
        each.server.answers["STREAM.MSG.GET"] = lambda subject, body: FULL
        reading = asyncio.create_task(each.broker.history("log.a", Earliest(), 1))
        await async_eventually("the question", lambda: each.server.asked("STREAM.MSG.GET") == 1)
        for _ in range(20):
            await each.broker.broadcast(b"x")
        await async_eventually("what was sent behind it", lambda: len(each.heard) == 20)
        assert each.server.asked("STREAM.MSG.GET") == 1
        reading.cancel()
        await ended(reading)


@in_loop
async def test_a_stream_that_is_gone_is_found_again_by_the_call_that_misses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker_module, "RETRY_SECONDS", 0)
    async with node() as each:
        before = (await each.broker.history("log.a", Earliest(), 10)).end
        each.server.jetstream.streams.clear()
        async with asyncio.timeout(60):
            after = (await each.broker.history("log.a", Earliest(), 10)).end
        assert after.epoch != before.epoch


@in_loop
async def test_announcements_that_the_client_library_dropped_are_a_gap() -> None:
    async with node() as each:
        each.broker._on_slow("p.live.log.a")
        assert each.gaps == [], "nobody listens to it"
        await each.broker.subscribe("log.a")
        each.broker._on_slow("p.live.log.a")
        assert each.gaps == [("log.a", 1)]
    each.broker._on_slow("p.live.log.a")
    assert len(each.gaps) == 1


@in_loop
async def test_nodes_that_lost_their_server_together_do_not_return_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: set[tuple[float, float]] = set()

    def uniform(low: float, high: float) -> float:
        asked.add((low, high))
        return low

    monkeypatch.setattr(random, "uniform", uniform)
    server = FakeNats()
    async with serving(server):
        each = Node(server)
    async with each.running():
        await async_eventually("an attempt", lambda: asked)
    assert asked == {(0.5, 1.0)}
