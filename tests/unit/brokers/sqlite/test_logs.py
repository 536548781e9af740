"""brokers/sqlite/logs.py: what is known of channels and keys, without a database."""

from eventhub.brokers.sqlite.logs import (
    STRIDE,
    UNDECLARED,
    SqliteLog,
    SqliteLogs,
)
from eventhub.brokers.sqlite.write_transaction import WriteTransaction
from eventhub.errors import UnknownChannel
from eventhub.events.channel_types import Retention
from tests.unit.brokers.sqlite.transactions import FRESH, NOW, logs, new, offsets, publish


def test_a_later_opening_begins_a_range_and_joins_what_was_there() -> None:
    known = logs(FRESH._replace(fresh=False))
    known.load(SqliteLog(7, "a", Retention(80, None), 41))
    known.loaded(NOW + 1999)
    assert known.base == 41 + STRIDE, "also when hardly any time has passed"
    known.loaded(NOW + 2000)
    assert known.base == 2 * STRIDE
    write = WriteTransaction(known, NOW, {"a"}, lambda log, key: None)
    assert offsets(write.publish([new(), new(), new("b")])) == [
        2 * STRIDE + 1,
        2 * STRIDE + 2,
        2 * STRIDE + 1,
    ]
    assert [(event.previous, event.offset) for event in write.announced] == [
        (41, 2 * STRIDE + 1),
        (2 * STRIDE + 1, 2 * STRIDE + 2),
    ]
    assert [row[0] for row in write.rows] == [7, 7, 8], "a new channel gets a row that none has"


def test_beyond_their_bound_the_oldest_keys_are_forgotten() -> None:
    known = logs(max_keys=2)
    publish(known, new(key="1"), new(key="2"), new(key="3"))
    assert list(known.keys) == [("a", "2"), ("a", "3")]


def test_rows_are_deleted_when_an_eighth_is_in_excess() -> None:
    known = logs(events=80)
    publish(known, *[new()] * 89)
    assert not known.excessive
    publish(known, new())
    assert list(known.excessive) == ["a"]


def test_what_is_too_old_is_found_in_channels_that_nobody_touches() -> None:
    known = logs(age=1000)
    publish(known, new("a"), new("b", time=NOW + 1))
    known.expire(NOW + 1001)
    assert list(known.excessive) == ["a"]


def test_a_clock_that_was_set_back_reuses_nothing() -> None:
    known = logs(FRESH._replace(fresh=False, floor=50))
    known.load(SqliteLog(1, "a", Retention(80, None), 5 * STRIDE))
    known.loaded(NOW - 10_000_000)
    assert known.base == 6 * STRIDE


def test_events_of_a_type_that_is_not_declared_any_more_are_kept() -> None:
    def undeclared(channel: str) -> Retention:
        raise UnknownChannel("gone")

    assert SqliteLogs(FRESH, undeclared, 1, 1).retention("old.a") == UNDECLARED


def test_only_channels_without_rows_and_subscribers_can_be_forgotten() -> None:
    known = logs(events=0)
    publish(known, new("a"), new("b"), new("c"))
    assert [log.name for log in known.forgettable({"b"}, 10)] == ["a", "c"]
    known.forget([known.channels["a"]], 9)
    assert offsets(publish(known, new("a"))) == [10]
