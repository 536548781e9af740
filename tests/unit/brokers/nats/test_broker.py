"""brokers/nats/broker.py: calls that outlive a session, and what is never sent twice."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from eventhub.brokers.nats import broker as broker_module
from eventhub.brokers.nats.broker import NatsBroker
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import Earliest, Receipt
from tests.harness.clock import Clock
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.listening import serving
from tests.unit.brokers.nats.brokers import FULL, LONG, Node, ended, event, node, retention
from tests.unit.brokers.nats.links import put
from tests.unit.brokers.nats.server import FakeNats
from tests.unit.brokers.timeouts import Timeouts

pytestmark = pytest.mark.usefixtures("without_pauses")


@in_loop
async def test_events_are_published_announced_and_read() -> None:
    async with node() as each:
        begin = await each.broker.subscribe("log.a")
        (receipt,) = await each.broker.publish([event()])
        assert isinstance(receipt, Receipt)
        await async_eventually("the event", lambda: [one.data for one in each.events] == [b"1"])
        page = await each.broker.history("log.a", begin, 10)
        assert page.events == each.events
        assert page.end == receipt.position


@in_loop
async def test_an_empty_channel_that_is_subscribed_stands_where_its_announcements_do() -> None:
    async with node() as each:
        begin = await each.broker.subscribe("log.a")
        put(each.server, "log.b")
        assert (await each.broker.history("log.a", Earliest(), 10)).end == begin


@in_loop
async def test_bytes_of_calls_that_ended_in_any_way_are_no_longer_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker_module, "WAITING_BYTES", 100)
    async with node() as each:
        each.server.answers["p.log."] = lambda subject, body: None
        each.broker._timeout = 0.05
        assert isinstance(await ended(each.broker.publish([event(b"1" * 90)])), BrokerUnavailable)
        each.broker._timeout = LONG
        before = each.server.asked("p.log.")
        cancelled = asyncio.create_task(each.broker.publish([event(b"1" * 90)]))
        await async_eventually("its event", lambda: each.server.asked("p.log.") > before)
        cancelled.cancel()
        await ended(cancelled)
        each.server.answers.clear()
        for _ in range(3):
            (receipt,) = await each.broker.publish([event(b"1" * 90)])
            assert isinstance(receipt, Receipt)


@in_loop
async def test_calls_beyond_the_bytes_that_may_wait_are_refused_but_one_alone_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(broker_module, "WAITING_BYTES", 100)
    async with node() as each:
        each.server.answers["p.log."] = lambda subject, body: None
        alone = asyncio.create_task(each.broker.publish([event(b"1" * 60), event(b"1" * 60)]))
        await asyncio.sleep(0)
        assert "120 bytes of events wait" in str(await ended(each.broker.publish([event()])))
        alone.cancel()
        await ended(alone)
        first = asyncio.create_task(each.broker.publish([event(b"1" * 60)]))
        await asyncio.sleep(0)
        assert "at most 100 may" in str(await ended(each.broker.publish([event(b"1" * 41)])))
        second = asyncio.create_task(each.broker.publish([event(b"1" * 40)]))
        await asyncio.sleep(0)
        assert not second.done()
        for call in (first, second):
            call.cancel()
            await ended(call)


@in_loop
async def test_a_call_without_an_answer_ends_in_time_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timeouts = Timeouts()
    monkeypatch.setattr(broker_module, "asyncio", timeouts)
    async with node(timeout=7) as each:
        each.server.answers["p.log."] = lambda subject, body: None
        publishing = asyncio.create_task(each.broker.publish([event()]))
        await async_eventually("the event", lambda: each.server.asked("p.log."))
        timeouts.expire()
        assert str(await ended(publishing)) == "no answer from NATS within 7 seconds: it is slow"
        each.server.answers["STREAM.MSG.GET"] = lambda subject, body: FULL
        reading = asyncio.create_task(each.broker.history("log.a", Earliest(), 1))
        await async_eventually("attempts", lambda: each.server.asked("STREAM.MSG.GET") > 1)
        timeouts.expire()
        assert str(await ended(reading)).endswith("within 7 seconds: insufficient resources")


@in_loop
async def test_without_a_session_a_call_waits_for_one_and_says_why_there_is_none() -> None:
    server = FakeNats()
    async with serving(server):
        each = Node(server, timeout=0.05)
        error = await ended(each.broker.publish([event()]))
        assert str(error).endswith("within 0.05 seconds: not connected to NATS yet")
        each.broker._timeout = LONG
        early = asyncio.create_task(each.broker.publish([event()]))
        await asyncio.sleep(0)
        async with each.running():
            assert len(await early) == 1


@in_loop
async def test_a_publish_is_tried_again_only_when_nothing_of_it_was_stored() -> None:
    async with node() as each:
        await each.broker.publish([event(b"0")])
        refusals = [{"status": 503}, {"status": 503}]

        def refuse_first(subject: str, body: bytes) -> Mapping[str, Any]:
            if refusals:
                return refusals.pop()
            stream = each.server.jetstream.stream("log")
            return each.server.jetstream.store(stream, subject, {}, body)

        each.server.answers["p.log."] = refuse_first
        (receipt,) = await each.broker.publish([event(b"1")])
        assert isinstance(receipt, Receipt)
        assert each.server.asked("p.log.") == 4


@in_loop
async def test_events_that_were_sent_when_the_connection_ended_are_not_sent_again() -> None:
    async with node() as each:
        each.server.answers["p.log."] = lambda subject, body: each.server.cut()
        error = await ended(each.broker.publish([event(b"1")]))
        assert isinstance(error, BrokerUnavailable)
        assert "may be stored or not" in error.message
        await each.says(None)
        assert each.server.asked("p.log.") == 1


@in_loop
async def test_reading_is_tried_again_over_the_next_connection() -> None:
    async with node() as each:
        cuts = [1, 2]

        def cut_twice(subject: str, body: bytes) -> Mapping[str, Any] | None:
            if cuts:
                cuts.pop()
                each.server.cut()
                return None
            return each.server.jetstream.api(subject, body)

        each.server.answers["STREAM.MSG.GET"] = cut_twice
        async with asyncio.timeout(30):
            page = await each.broker.history("log.a", Earliest(), 10)
        assert (page.events, len(each.server.logins)) == ([], 3)


@in_loop
async def test_a_stream_that_is_gone_is_looked_up_again() -> None:
    async with node() as each:
        (old,) = await each.broker.publish([event()])
        each.server.jetstream.streams.clear()
        async with asyncio.timeout(30):
            page = await each.broker.history("log.a", Earliest(), 10)
        assert isinstance(old, Receipt)
        assert page.end.epoch != old.position.epoch


@in_loop
async def test_a_subscription_that_failed_is_not_opened_later() -> None:
    async with node() as each:
        each.server.answers["STREAM.MSG.GET"] = lambda subject, body: FULL
        each.broker._timeout = 0.05
        await ended(each.broker.subscribe("log.a"))
        assert each.broker._wanted == {}
        each.server.answers.clear()
        each.broker._timeout = LONG
        await each.broker.subscribe("log.b")
        await each.says(None)
        put(each.server, "log.a")
        put(each.server, "log.b")
        await async_eventually(
            "an event", lambda: [one.channel for one in each.events] == ["log.b"]
        )


@in_loop
async def test_a_second_subscription_that_failed_does_not_end_the_first() -> None:
    async with node() as each:
        await each.broker.subscribe("log.a")
        each.server.answers[""] = lambda subject, body: None
        each.broker._timeout = 0.05
        session = each.broker._session
        assert session is not None
        session.open = never  # type: ignore[method-assign,assignment]
        await ended(each.broker.subscribe("log.a"))
        assert list(each.broker._wanted) == ["log.a"]


async def never(*_: object) -> Any:
    await asyncio.Event().wait()


@in_loop
async def test_what_nobody_listens_to_any_more_is_not_announced() -> None:
    async with node() as each:
        await each.broker.subscribe("log.a")
        await each.broker.subscribe("log.b")
        await each.broker.unsubscribe("log.a")
        await each.broker.unsubscribe("log.never")
        put(each.server, "log.a")
        put(each.server, "log.b")
        await async_eventually("an event", lambda: len(each.events) == 1)
        assert each.events[0].channel == "log.b"


@in_loop
async def test_broadcasts_reach_the_node_itself_and_are_refused_without_a_connection() -> None:
    async with node() as each:
        await each.broker.broadcast(b"hello")
        await async_eventually("the broadcast", lambda: each.heard == [b"hello"])
    assert "the NATS server" in str(await ended(each.broker.broadcast(b"x")))
    early = NatsBroker("nats://127.0.0.1", retention, Clock())
    assert str(await ended(early.broadcast(b"x"))) == "not connected to NATS yet"
