"""brokers/redis/channel_queue.py: which events share a script call, and which are dropped."""

from collections.abc import Callable

import pytest

from eventhub.brokers.redis import channel_queue
from eventhub.brokers.redis.channel_queue import ChannelQueue, PublishCall, QueuedEvent
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import NewEvent


def call(done: Callable[[PublishCall], None] = lambda _: None) -> PublishCall:
    return PublishCall([NewEvent("c", b"1", 1)] * 2, done)


def queue(dropped: list[QueuedEvent], *items: tuple[int, PublishCall]) -> ChannelQueue:
    """A queue of events with so many bytes."""
    made = ChannelQueue(dropped.append)
    for size, of_call in items:
        made.waiting.append((NewEvent("c", b"1" * size, 1), of_call, 0))
    return made


def sizes(taken: list[QueuedEvent]) -> list[int]:
    return [len(event.data) for event, _, _ in taken]


def test_a_script_call_is_bounded_in_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_queue, "CALL_EVENTS", 2)
    waiting = queue([], (1, call()), (2, call()), (3, call()))
    assert (sizes(waiting.take()), sizes(waiting.take()), waiting.take()) == ([1, 2], [3], [])


def test_a_script_call_is_bounded_in_bytes_but_takes_one_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel_queue, "CALL_BYTES", 10)
    waiting = queue([], *((size, call()) for size in (11, 4, 6, 1, 9, 2)))
    assert [sizes(waiting.take()) for _ in range(4)] == [[11], [4, 6], [1, 9], [2]]


def test_events_whose_call_is_over_are_dropped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_queue, "CALL_BYTES", 10)
    gone = call()
    gone.over = True
    dropped: list[QueuedEvent] = []
    waiting = queue(dropped, (1, gone), (2, gone), (3, call()), (9, gone), (5, call()))
    waiting.drop_given_up()
    assert sizes(dropped) == [1, 2]
    assert sizes(waiting.take()) == [3, 5], "what is dropped takes no room"
    assert sizes(dropped) == [1, 2, 9]
    waiting.drop_given_up()
    assert (list(waiting.waiting), len(dropped)) == ([], 3)


def test_a_call_is_done_with_its_last_result_but_not_if_its_caller_has_gone() -> None:
    error = BrokerUnavailable("away")
    for over in (False, True):
        told: list[PublishCall] = []
        one = call(told.append)
        one.settle(1, error)
        assert told == []
        one.over = over
        one.settle(0, error)
        assert told == ([] if over else [one])
        assert one.over
        assert one.results == [error, error]
