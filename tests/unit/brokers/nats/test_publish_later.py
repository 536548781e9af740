"""brokers/nats/publish_later.py: events that are sent at once, and what their callback is told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from eventhub.brokers.nats import pending_replies
from eventhub.brokers.nats.answers import NO_RESPONDERS
from eventhub.brokers.nats.publish_later import LaterPublisher
from eventhub.brokers.nats.session import NatsSession
from eventhub.errors import BrokerUnavailable, EventHubError, PayloadTooLarge
from eventhub.events.event import ABSENT, NewEvent, Receipt
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.batches import (
    answer_in_order,
    attempted,
    event,
    refusal,
    session_with_stream,
    stored,
)
from tests.unit.brokers.nats.server import FakeNats

Outcome = Sequence[Receipt | EventHubError] | Exception | None


@asynccontextmanager
async def warm() -> AsyncIterator[tuple[FakeNats, NatsSession]]:
    """A session that has stored an event in `log.a`."""
    async with session_with_stream() as (server, session):
        await attempted(session, event(b"first"))
        yield server, session


async def told(session: NatsSession, *events: NewEvent, seconds: float = 30) -> Outcome:
    """What the callback is told. It must be called once."""
    calls: list[Outcome] = []
    first = asyncio.Event()

    def done(outcome: Outcome) -> None:
        calls.append(outcome)
        first.set()

    assert LaterPublisher(seconds).publish(session, events, done)
    assert calls == []
    async with asyncio.timeout(30):
        await first.wait()
    await session.link.ping()
    assert len(calls) == 1
    return calls[0]


@in_loop
async def test_events_are_stored_in_order_and_nothing_is_expected_any_more() -> None:
    async with warm() as (server, session):
        results = await told(session, event(b"1"), event(b"2"))
        assert [each.data for each in stored(server)] == [b"first", b"1", b"2"]
        assert isinstance(results, list)
        offsets = [result.position.offset >> 16 for result in results]
        assert offsets == [2, 3]
        assert session.link._replies._callbacks == {}
        assert session.link._replies._unacknowledged == 0


@pytest.mark.parametrize(
    "unusual",
    [
        event(b"1", key="k"),
        event(b"1")._replace(expected=ABSENT),
        event(b"1", channel="log.new"),
        event(b"1", channel="other.a"),
    ],
    ids=["a key", "a precondition", "a birth", "a type without a known stream"],
)
@in_loop
async def test_events_that_need_more_steps_are_not_sent(unusual: NewEvent) -> None:
    async with warm() as (server, session):
        assert not LaterPublisher(5).publish(session, (event(b"1"), unusual), print)
        await session.link.ping()
        assert len(stored(server)) == 1


@in_loop
async def test_they_are_not_sent_when_the_window_is_full_or_the_connection_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with warm() as (server, session):
        with monkeypatch.context() as patch:
            patch.setattr(pending_replies, "WINDOW", 1)
            assert not LaterPublisher(5).publish(session, [event()] * 2, print)
        session.link.closed.set()
        assert not LaterPublisher(5).publish(session, [event()], print)
        await asyncio.sleep(0)
        assert len(stored(server)) == 1
        assert session.link._replies._unacknowledged == 0


@in_loop
async def test_when_no_stream_took_any_event_the_caller_may_try_again() -> None:
    async with warm() as (server, session):
        answer_in_order(server, [refusal(NO_RESPONDERS)] * 2)
        assert await told(session, event(b"1"), event(b"2")) is None
        assert session.streams.known == {}, "the stream may have been replaced"


@in_loop
async def test_when_some_were_stored_each_has_its_result() -> None:
    async with warm() as (server, session):
        answer_in_order(server, [refusal(NO_RESPONDERS), None])
        results: Any = await told(session, event(b"1"), event(b"2"))
        assert isinstance(results[0], BrokerUnavailable)
        assert isinstance(results[1], Receipt)


@in_loop
async def test_an_event_too_large_for_the_server_is_not_sent() -> None:
    async with warm() as (_, session):
        large = event(bytes(session.link.max_payload))
        results: Any = await told(session, large, event(b"1"))
        assert isinstance(results[0], PayloadTooLarge)
        assert isinstance(results[1], Receipt)
        assert not LaterPublisher(5).publish(session, [large], print), "no answer would come"


@in_loop
async def test_without_an_answer_the_outcome_is_not_known() -> None:
    async with warm() as (server, session):
        server.answers["p.log."] = lambda subject, body: None
        outcome = await told(session, event(b"1"), seconds=0.01)
        assert isinstance(outcome, BrokerUnavailable)
        assert outcome.message == "no answer from NATS within 0.01 seconds"
        assert session.link._replies._callbacks == {}


@in_loop
async def test_the_end_of_the_connection_is_told() -> None:
    async with warm() as (server, session):
        server.answers["p.log."] = lambda subject, body: server.connections[0].writer.close()
        outcome = await told_at_the_end(session, event(b"1"))
        assert isinstance(outcome, BrokerUnavailable)
        assert "may be stored or not" in outcome.message


async def told_at_the_end(session: NatsSession, *events: NewEvent) -> Outcome:
    outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    assert LaterPublisher(30).publish(session, events, outcome.set_result)
    async with asyncio.timeout(30):
        return await outcome
