"""brokers/nats/publish_batch.py: from events to receipts, and what is never sent twice."""

import asyncio
from typing import Any

import pytest

from eventhub.brokers.nats.answers import NO_RESPONDERS, JetStreamError
from eventhub.brokers.nats.message import OVERHEAD
from eventhub.brokers.nats.publish_batch import PublishBatch
from eventhub.errors import BrokerUnavailable, IdempotencyConflict, PayloadTooLarge
from eventhub.events.event import NewEvent, Receipt
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.batches import (
    NOW,
    answer_in_order,
    attempted,
    event,
    refusal,
    session_with_stream,
    stored,
)
from tests.unit.brokers.nats.links import STREAM


@in_loop
async def test_events_are_stored_in_their_order_and_get_receipts() -> None:
    async with session_with_stream() as (server, session):
        texts = [b"%d" % number for number in range(9)]
        batch = await attempted(session, *map(event, texts), event(b"9", channel="other.a"))
        assert [message.data for message in stored(server)] == texts
        for message, result in zip(stored(server), batch.answers(), strict=False):
            assert isinstance(result, Receipt)
            stamp, time = map(int, message.headers["EventHub"].split(" "))
            assert result.position.offset == message.sequence * 65536 + stamp
            assert (result.position.epoch, result.replayed) == (STREAM[-8:], False)
            assert (result.time, time) == (NOW, NOW)
            assert message.headers["Nats-Expected-Stream"] == STREAM
        last = batch.answers()[-1]
        assert isinstance(last, Receipt)
        assert last.position.offset >> 16 == 1
        assert last.position.epoch != STREAM[-8:]


@in_loop
async def test_a_call_that_was_partly_sent_is_never_repeated() -> None:
    """A JetStreamError would make the broker send all of it again."""
    async with session_with_stream() as (server, session):
        await session.streams.of_channel("log.a")
        server.answers["p.log."] = lambda subject, body: session.link.closed.set()
        store = session.link.store_now

        def store_then_lose(*arguments: Any) -> str:
            token = store(*arguments)
            session.link.closed.set()
            return token

        session.link.store_now = store_then_lose  # type: ignore[method-assign,assignment]
        batch = PublishBatch([event(b"1"), event(b"2")])
        with pytest.raises(BrokerUnavailable):
            await batch.attempt(session)


@in_loop
async def test_a_call_of_which_nothing_was_sent_may_be_repeated() -> None:
    async with session_with_stream() as (server, session):
        await session.streams.of_channel("log.a")
        session.link.closed.set()
        batch = PublishBatch([event(b"1"), event(b"2")])
        with pytest.raises(JetStreamError):
            await batch.attempt(session)
        assert batch.results == [None, None]
        assert server.asked("p.log.") == 0


@in_loop
async def test_what_the_server_answered_is_kept_when_the_connection_is_lost() -> None:
    async with session_with_stream() as (server, session):
        answer_in_order(server, [None, refusal(10054)])

        def lose(subject: str, body: bytes) -> None:
            server.cut()

        batch = PublishBatch([event(b"1"), event(b"2"), event(b"3", channel="log.b")])
        server.answers = {"p.log.log.b": lose, **server.answers}
        async with asyncio.timeout(30):
            await batch.attempt(session)
        receipt, large, lost = batch.answers()
        assert isinstance(receipt, Receipt)
        assert isinstance(large, PayloadTooLarge)
        assert isinstance(lost, BrokerUnavailable)
        assert "may be stored or not" in lost.message


@in_loop
async def test_when_no_stream_took_any_event_all_may_be_sent_again() -> None:
    async with session_with_stream() as (server, session):
        await session.streams.of_channel("log.a")
        server.jetstream.streams.clear()
        batch = PublishBatch([event(b"1"), event(b"2")])
        with pytest.raises(JetStreamError) as refused:
            await batch.attempt(session)
        assert refused.value.code == NO_RESPONDERS
        assert (batch.results, session.streams.known) == ([None, None], {})
        await batch.attempt(session)
        assert all(isinstance(result, Receipt) for result in batch.answers())


@in_loop
async def test_when_a_stream_took_some_events_none_is_sent_again() -> None:
    async with session_with_stream() as (server, session):
        answer_in_order(server, [None, {"status": 503}, None])
        batch = await attempted(session, event(b"1"), event(b"2"), event(b"3"))
        assert [type(result) for result in batch.answers()] == [Receipt, BrokerUnavailable, Receipt]
        assert [message.data for message in stored(server)] == [b"1", b"3"]
        assert session.streams.known == {}, "the stream may have been replaced"


@pytest.mark.parametrize(
    ("code", "error", "forgotten"),
    [
        (10060, BrokerUnavailable, True),
        (10054, PayloadTooLarge, False),
        (10077, BrokerUnavailable, False),
    ],
)
@in_loop
async def test_a_refused_event_gets_its_error_and_costs_no_other(
    code: int,
    error: type[Exception],
    forgotten: bool,  # noqa: FBT001
) -> None:
    async with session_with_stream() as (server, session):
        answer_in_order(server, [refusal(code), None])
        batch = await attempted(session, event(b"1"), event(b"2"))
        assert [type(result) for result in batch.answers()] == [error, Receipt]
        assert (session.streams.known == {}) == forgotten


@in_loop
async def test_an_event_too_large_for_the_server_is_not_sent() -> None:
    async with session_with_stream() as (server, session):
        limit = 10_000
        session.link._client.library._max_payload = limit
        headers = len(f"65535 {NOW}")
        fits = limit - OVERHEAD - headers
        one = event(b"1" * (fits + 100))
        batch = await attempted(session, event(b"1" * (fits - 9)), one, event(b"3"))
        assert [type(result) for result in batch.answers()] == [Receipt, PayloadTooLarge, Receipt]
        assert str(len(one.data)) in str(batch.answers()[1])
        assert len(stored(server)) == 2
        large = NewEvent("log.a", b"1", NOW, {"source": "x" * limit})
        (refused,) = (await attempted(session, large)).answers()
        assert isinstance(refused, PayloadTooLarge)


@in_loop
async def test_results_are_not_asked_for_twice() -> None:
    async with session_with_stream() as (server, session):
        batch = PublishBatch([event(b"1", "k"), event(b"2")])
        await batch.attempt(session)
        first = batch.answers()
        await batch.attempt(session)
        assert batch.answers() == first
        assert len(stored(server)) == 2


@in_loop
async def test_a_cancelled_call_expects_no_answers() -> None:
    async with session_with_stream() as (server, session):
        await session.streams.of_channel("log.a")
        server.answers["p.log."] = lambda subject, body: None
        batch = PublishBatch([event(b"1"), event(b"2")])
        attempt = asyncio.create_task(batch.attempt(session))
        await async_eventually("both events", lambda: server.asked("p.log.") == 2)
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        assert session.link._replies._callbacks == {}
        assert session.link._replies._unacknowledged == 0


def test_an_error_of_the_whole_call_is_given_to_events_without_a_result() -> None:
    error = BrokerUnavailable("away")
    batch = PublishBatch([event(b"1"), event(b"2")])
    conflict = IdempotencyConflict("e-1")
    batch.results[0] = conflict
    batch.fail(error)
    assert batch.answers() == [conflict, error]


def test_a_call_raises_the_first_error_when_the_result_of_no_event_is_known() -> None:
    first, second = BrokerUnavailable("lost"), BrokerUnavailable("away")
    batch = PublishBatch([event(b"1"), event(b"2")])
    batch.results[0] = first
    batch.fail(second)
    with pytest.raises(BrokerUnavailable) as raised:
        batch.answers()
    assert raised.value is first


def test_a_call_without_events_has_no_results() -> None:
    assert PublishBatch([]).answers() == []
