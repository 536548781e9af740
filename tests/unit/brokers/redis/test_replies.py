"""brokers/redis/replies.py: what is said of events that Redis did not store, or may have."""

import pytest

from eventhub.brokers.redis.link import ErrorReply, LinkLost
from eventhub.brokers.redis.replies import NOT_STORED, OUTCOME_UNKNOWN, publish_error, read_results
from eventhub.errors import IdempotencyConflict
from eventhub.events.event import NewEvent, Position, Receipt


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (LinkLost("cut"), f"{OUTCOME_UNKNOWN}: cut"),
        (ErrorReply("OOM hush"), f"{NOT_STORED}: Redis is out of memory (maxmemory)"),
        (ErrorReply("WRONGTYPE hush"), f"{NOT_STORED}: Redis answered WRONGTYPE"),
        (7, f"{NOT_STORED}: Redis answered something unexpected"),
    ],
)
def test_the_error_says_whether_the_event_may_be_stored(reply: object, message: str) -> None:
    assert publish_error(reply).message == message


def test_results_stand_in_the_order_of_the_events() -> None:
    events = [NewEvent("c", b"1", time) for time in (10, 11, 12)]
    stored, replayed, conflict = read_results(events, [b"e", 5, b"3 7", b"4 conflict"])
    assert stored == Receipt(Position("e", 5), 10)
    assert replayed == Receipt(Position("e", 3), 7, replayed=True)
    assert isinstance(conflict, IdempotencyConflict)
    assert conflict.id == "e-4"


def test_an_answer_with_too_few_or_too_many_results_is_not_taken() -> None:
    replies: tuple[list[int | bytes], ...] = ([b"e"], [b"e", 1, 2])
    for reply in replies:
        with pytest.raises(ValueError, match="zip"):
            read_results([NewEvent("c", b"1", 1)], reply)
