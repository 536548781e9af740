"""brokers/nats/publish_batch.py: events with idempotency keys."""

import json

import pytest

from eventhub.brokers.nats import publish_batch
from eventhub.brokers.nats.publish_batch import IN_PROCESS, PublishBatch
from eventhub.errors import BrokerUnavailable, IdempotencyConflict
from eventhub.events.event import NewEvent, Receipt
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


@in_loop
async def test_an_event_that_another_node_is_storing_is_sent_again_with_its_id(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publish_batch, "IN_PROCESS_SECONDS", 0)
    async with session_with_stream() as (server, session):
        answer_in_order(server, [None, refusal(IN_PROCESS), None, refusal(IN_PROCESS)])
        batch = await attempted(session, event(b"1"), event(b"2", "k"), event(b"3"))
        assert [type(result) for result in batch.answers()] == [Receipt] * 3
        assert [message.data for message in stored(server)] == [b"1", b"3", b"2"]
        assert server.asked("p.log.") == 5


@in_loop
async def test_a_key_is_claimed_before_the_event_is_sent_and_completed_after() -> None:
    async with session_with_stream() as (server, session):
        (receipt,) = (await attempted(session, event(key="k"))).answers()
        assert isinstance(receipt, Receipt)
        order = [subject.split(".")[1] for subject in server.requests if subject[:2] == "p."]
        assert order == ["key", "births", "log", "key"]
        (message,) = stored(server)
        records = server.jetstream.stream("keys").messages
        _, time, stamp, message_id, position = json.loads(records[-1].data)
        assert message.headers["Nats-Msg-Id"] == message_id
        assert message.headers["EventHub"] == f"{stamp} {time}"
        assert position == list(receipt.position)
        later = NewEvent("log.a", b"1", NOW + 5, None, "k")
        assert (await attempted(session, later)).answers() == [receipt._replace(replayed=True)]
        assert len(stored(server)) == 1


@in_loop
async def test_an_event_that_is_stored_but_not_recorded_is_found_by_the_server() -> None:
    async with session_with_stream() as (server, session):
        session.keys.stored = unavailable  # type: ignore[method-assign,assignment]
        (first,) = (await attempted(session, event(key="k"))).answers()
        assert isinstance(first, Receipt)
        assert not first.replayed
        (again,) = (await attempted(session, event(key="k"))).answers()
        assert again == first._replace(replayed=True)
        assert len(stored(server)) == 1


async def unavailable(*_: object) -> None:
    raise BrokerUnavailable("away")


@in_loop
async def test_a_conflict_names_the_first_event_of_the_same_call_and_costs_no_other() -> None:
    async with session_with_stream() as (server, session):
        batch = await attempted(session, event(b"1", "k"), event(b"2", "k"), event(b"3"))
        first, conflict, other = batch.answers()
        assert isinstance(first, Receipt)
        assert isinstance(conflict, IdempotencyConflict)
        assert isinstance(other, Receipt)
        assert conflict.id == str(first.position)
        assert [message.data for message in stored(server)] == [b"1", b"3"]
        (later,) = (await attempted(session, event(b"2", "k"))).answers()
        assert isinstance(later, IdempotencyConflict)
        assert later.id == str(first.position)


@in_loop
async def test_a_conflict_whose_holder_cannot_be_looked_up_names_nobody() -> None:
    async with session_with_stream() as (_, session):
        session.keys.holder = unavailable  # type: ignore[method-assign,assignment]
        batch = await attempted(session, event(b"1", "k"), event(b"2", "k"))
        conflict = batch.answers()[1]
        assert isinstance(conflict, IdempotencyConflict)
        assert conflict.id is None


@in_loop
async def test_when_keys_cannot_be_claimed_nothing_is_sent() -> None:
    async with session_with_stream() as (server, session):
        session.keys.claim = unavailable  # type: ignore[method-assign,assignment]
        batch = PublishBatch([event(b"1", "k"), event(b"2")])
        with pytest.raises(BrokerUnavailable, match="away"):
            await batch.attempt(session)
        assert (batch.results, server.asked("p.log.")) == ([None, None], 0)


@in_loop
async def test_the_record_of_an_event_that_was_refused_gets_no_position() -> None:
    async with session_with_stream() as (server, session):
        answer_in_order(server, [refusal(10077)])
        (refused,) = (await attempted(session, event(key="k"))).results
        assert isinstance(refused, BrokerUnavailable)
        (record,) = server.jetstream.stream("keys").messages
        assert json.loads(record.data)[-1] is None
