"""server/websocket/publish_queue.py: publishes of one connection, in order, in groups, bounded."""

import asyncio

import pytest

from eventhub.errors import BrokerUnavailable, EventHubError, IdempotencyConflict
from eventhub.events.event import Earliest, NewEvent, Position, Receipt
from eventhub.events.references import Reference, Relation
from eventhub.server.websocket.publish_queue import BACKLOG, PublishQueue
from eventhub.session.commands import Ref
from tests.unit.server.websocket.publisher import Publisher, run


def test_a_publish_is_stored_and_answered_with_its_receipt() -> None:
    async def scenario(publisher: Publisher) -> None:
        assert publisher.add(7) is True
        assert publisher.answers == [], "not before it is stored"
        await publisher.until(1)
        ((ref, channel, outcome),) = publisher.answers
        assert (ref, channel) == (7, "chat.a")
        assert isinstance(outcome, Receipt)
        piece = await publisher.broker.history("chat.a", Earliest(), 10)
        assert [event.position for event in piece.events] == [outcome.position]

    run(scenario)


def test_publishes_are_stored_and_answered_in_order_over_batches() -> None:
    async def scenario(publisher: Publisher) -> None:
        for ref in range(10):
            publisher.add(ref)
            if ref % 3 == 0:
                await asyncio.sleep(0)
        await publisher.until(10)
        assert publisher.refs == list(range(10))
        piece = await publisher.broker.history("chat.a", Earliest(), 100)
        assert [event.data for event in piece.events] == [b"%d" % ref for ref in range(10)]

    run(scenario)


def test_events_that_come_during_a_publish_are_one_batch() -> None:
    async def scenario(publisher: Publisher) -> None:
        publisher.broker.gate.clear()
        publisher.add(0)
        await publisher.broker.waiting.wait()
        for ref in range(1, 6):
            publisher.add(ref)
        assert publisher.broker.groups == [1], (
            "never two at a time: they could overtake one another"
        )
        publisher.broker.gate.set()
        await publisher.until(6)
        assert publisher.broker.groups == [1, 5]
        assert publisher.refs == list(range(6))

    run(scenario)


def test_events_that_come_together_are_one_batch() -> None:
    async def scenario(publisher: Publisher) -> None:
        for ref in range(5):
            publisher.add(ref)
        await publisher.until(5)
        assert publisher.broker.groups == [5]

    run(scenario)


def test_after_everything_is_answered_it_begins_again() -> None:
    async def scenario(publisher: Publisher) -> None:
        for ref in range(3):
            publisher.add(ref)
            await publisher.until(ref + 1)
        assert publisher.broker.groups == [1, 1, 1]
        assert publisher.refs == [0, 1, 2]

    run(scenario)


def test_a_full_queue_takes_no_more_until_some_are_published() -> None:
    async def scenario(publisher: Publisher) -> None:
        publisher.broker.gate.clear()
        publisher.add(0)
        await publisher.broker.waiting.wait()
        assert [publisher.add(ref) for ref in range(1, BACKLOG)] == [True] * (BACKLOG - 1)
        assert publisher.submissions.roomy
        assert publisher.add(BACKLOG) is False
        assert not publisher.submissions.roomy
        assert publisher.add(BACKLOG + 1) is False, "what was read already is not lost"
        publisher.broker.gate.set()
        await publisher.until(BACKLOG + 2)
        assert publisher.submissions.roomy
        assert publisher.refs == list(range(BACKLOG + 2))

    run(scenario)


def test_there_is_room_again_when_an_answer_comes() -> None:
    async def scenario(publisher: Publisher) -> None:
        seen: list[bool] = []
        done = asyncio.Event()

        def answer(ref: Ref, channel: str, outcome: Receipt | EventHubError) -> None:
            seen.append(submissions.roomy)
            if ref == BACKLOG:
                done.set()

        submissions = PublishQueue(publisher.hub, answer, publisher.failed.append, "session")
        for ref in range(BACKLOG + 1):
            submissions.add(ref, NewEvent("chat.a", b"1", 0))
        assert not submissions.roomy
        await done.wait()
        assert seen == [True] * (BACKLOG + 1)

    run(scenario)


def test_a_refused_event_is_answered_in_order() -> None:
    async def scenario(publisher: Publisher) -> None:
        publisher.add(1, key="k")
        publisher.add(2, key="k")
        publisher.add(3)
        await publisher.until(3)
        assert publisher.refs == [1, 2, 3]
        assert publisher.codes == ["stored", IdempotencyConflict.code, "stored"]

    run(scenario)


@pytest.mark.parametrize("closing", [True, False])
def test_an_error_of_the_whole_batch_is_the_answer_to_each(closing: bool) -> None:  # noqa: FBT001  # a parameter
    async def scenario(publisher: Publisher) -> None:
        publisher.hub.closing = closing
        publisher.broker.fault = BrokerUnavailable("away")
        for ref in range(4):
            publisher.add(ref)
        await publisher.until(4)
        assert publisher.refs == list(range(4))
        assert publisher.codes == ["shutting_down" if closing else "broker_unavailable"] * 4

    run(scenario)


def test_after_an_error_the_next_are_stored() -> None:
    async def scenario(publisher: Publisher) -> None:
        publisher.broker.fault = BrokerUnavailable("away")
        publisher.add(1)
        await publisher.until(1)
        publisher.broker.fault = None
        publisher.add(2)
        await publisher.until(2)
        assert publisher.codes == ["broker_unavailable", "stored"]

    run(scenario)


def test_an_event_that_is_added_by_an_answer_is_published_too() -> None:
    async def scenario(publisher: Publisher) -> None:
        done = asyncio.Event()

        def answer(ref: Ref, channel: str, outcome: Receipt | EventHubError) -> None:
            publisher.answers.append((ref, channel, outcome))
            if ref == 1:
                submissions.add(2, NewEvent("chat.a", b"2", 0))
            else:
                done.set()

        submissions = PublishQueue(publisher.hub, answer, publisher.failed.append, "session")
        submissions.add(1, NewEvent("chat.a", b"1", 0))
        await done.wait()
        assert publisher.refs == [1, 2]

    run(scenario)


def test_each_event_of_a_group_has_its_own_reference() -> None:
    async def scenario(publisher: Publisher) -> None:
        missing = Reference(Position("k3x9", 7), Relation.REACTION, None, moderates=False)
        publisher.broker.gate.clear()
        publisher.add(1)
        await publisher.broker.waiting.wait()
        publisher.add(2)
        publisher.submissions.add(3, NewEvent("chat.a", b"3", 0), missing)
        publisher.add(4)
        publisher.broker.gate.set()
        await publisher.until(4)
        assert publisher.refs == [1, 2, 3, 4]
        assert publisher.codes == ["stored", "stored", "not_found", "stored"]

    run(scenario)


def test_it_is_told_how_long_each_event_waited_for_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(publisher: Publisher) -> None:
        told: list[tuple[str, bool]] = []
        monkeypatch.setattr(
            publisher.hub,
            "answered",
            lambda channel, seconds: told.append((channel, 0 <= seconds < 60)),
        )
        publisher.add(1)
        publisher.add(2)
        await publisher.until(2)
        await asyncio.sleep(0)
        assert told == [("chat.a", True)] * 2

    run(scenario)
