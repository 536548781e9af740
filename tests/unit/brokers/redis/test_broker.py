"""brokers/redis/broker.py: calls, and why they end in time."""

import asyncio

import pytest

from eventhub.brokers.redis import broker as broker_module
from eventhub.events.event import Earliest, Event, Position, Receipt
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.listening import serving
from tests.unit.brokers.redis.brokers import LONG, Node, ended, event, node
from tests.unit.brokers.redis.server import SILENCE, FakeRedis

pytestmark = pytest.mark.usefixtures("without_pauses")


@in_loop
async def test_events_are_published_and_announced() -> None:
    async with node() as each:
        assert await each.broker.subscribe("log.a") == Position("e", 0)
        (receipt,) = await each.broker.publish([event()])
        assert receipt == Receipt(Position("e", 1), 1000)
        await async_eventually("the event", lambda: len(each.events) == 1)
        assert each.events == [Event("log.a", "e", 1, 0, 1000, b"1", None)]
        assert (await each.broker.history("log.a", Earliest(), 10)).end == Position("e", 1)
        assert each.gaps == []
        before = len(each.server.named("SUBSCRIBE"))
        await each.broker.subscribe("log.a")
        assert len(each.server.named("SUBSCRIBE")) == before


@in_loop
async def test_a_subscription_reads_its_position_after_its_confirmation() -> None:
    async with node() as each:
        each.server.answers["SUBSCRIBE"] = lambda command: SILENCE
        each.broker._timeout = 0.05
        assert "no answer in time" in str(await ended(each.broker.subscribe("log.a")))
        assert each.reads() == 0
        assert list(each.broker._wanted) == [broker_module.NODES], "it is not subscribed to"
        del each.server.answers["SUBSCRIBE"]
        each.broker._timeout = LONG
        await each.broker.subscribe("log.a")
        assert each.reads() == 1


@in_loop
async def test_a_second_subscription_that_failed_does_not_end_the_first() -> None:
    async with node() as each:
        await each.broker.subscribe("log.a")
        each.server.answers["EVALSHA"] = lambda command: SILENCE
        each.broker._timeout = 0.05
        await ended(each.broker.subscribe("log.a"))
        assert "log.a" in each.broker._wanted


@in_loop
async def test_a_failed_subscription_does_not_end_one_that_came_after_it() -> None:
    async with node() as each:
        each.server.answers["EVALSHA"] = lambda command: SILENCE
        first = asyncio.create_task(each.broker.subscribe("log.a"))
        await async_eventually("its question", lambda: each.reads() == 1)
        await each.broker.unsubscribe("log.a")
        second = asyncio.create_task(each.broker.subscribe("log.a"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert "log.a" in each.broker._wanted
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        assert "log.a" not in each.broker._wanted


@in_loop
async def test_after_unsubscribing_nothing_is_announced() -> None:
    async with node() as each:
        await each.broker.subscribe("log.a")
        await each.broker.subscribe("log.b")
        await each.broker.unsubscribe("log.a")
        await each.broker.unsubscribe("log.never")
        for channel in ("log.a", "log.b"):
            await each.broker.publish([event(channel=channel)])
        await async_eventually("an event", lambda: len(each.events) == 1)
        assert each.events[0].channel == "log.b"


@in_loop
async def test_a_subscription_before_the_connection_is_made_with_it() -> None:
    server = FakeRedis()
    async with serving(server):
        each = Node(server)
        assert each.broker.unready() == "looking for the master"
        early = asyncio.create_task(each.broker.subscribe("log.a"))
        await asyncio.sleep(0)
        async with each.running():
            async with asyncio.timeout(60):
                assert await early == Position("e", 0)
            assert each.gaps == []
        assert each.broker.unready() == "the broker has ended"


@in_loop
async def test_broadcasts_reach_the_node_itself_and_are_refused_without_a_connection() -> None:
    async with node() as each:
        await async_eventually("readiness to hear", lambda: _hears(each))
        await each.broker.broadcast(b"hello")
        await async_eventually("the broadcast", lambda: each.heard == [b"hello"])
    assert str(await ended(each.broker.broadcast(b"x"))) == "the broker has ended"


def _hears(each: Node) -> bool:
    return each.broker._wanted[broker_module.NODES].confirmed


@in_loop
async def test_a_call_ends_in_time_with_the_reason() -> None:
    server = FakeRedis()
    async with serving(server):
        each = Node(server, timeout=0.05)
        error = await ended(each.broker.history("log.a", Earliest(), 1))
        assert str(error) == "Redis does not answer: looking for the master"
        error = await ended(each.broker.publish([event()]))
        assert str(error) == "the event is not stored: looking for the master"
        each.broker._timeout = LONG
        reading = asyncio.create_task(each.broker.history("log.a", Earliest(), 1))
        await asyncio.sleep(0)
        async with each.running(), asyncio.timeout(60):
            assert (await reading).events == []
