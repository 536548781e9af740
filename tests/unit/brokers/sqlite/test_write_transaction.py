"""brokers/sqlite/write_transaction.py: what a transaction will change, without a database."""

from eventhub.brokers.base import BIRTH_SECONDS
from eventhub.brokers.idempotency import KEY_AGE
from eventhub.brokers.sqlite.logs import SqliteLogs
from eventhub.brokers.sqlite.write_transaction import WriteTransaction
from eventhub.errors import IdempotencyConflict, TooManyChannels
from eventhub.events.event import Receipt
from tests.unit.brokers.sqlite.transactions import NOW, logs, new, offsets, publish


def test_the_first_opening_counts_from_one() -> None:
    assert offsets(publish(logs(), new(), new(), new())) == [1, 2, 3]


def test_a_transaction_that_failed_changes_nothing() -> None:
    known = logs()
    publish(known, new())
    assert offsets(publish(known, new(key="k"), new("b"), commit=False)) == [2, 1]
    (again,) = publish(known, new(key="k", data=b"2"))
    assert isinstance(again, Receipt)
    assert (again.position.offset, again.replayed) == (2, False)
    assert "b" not in known.channels


def test_a_key_is_known_within_its_transaction_and_for_ten_minutes_after() -> None:
    known = logs()
    first, same, other = publish(known, new(key="k"), new(key="k"), new(key="k", data=b"2"))
    assert isinstance(first, Receipt)
    assert same == first._replace(replayed=True)
    assert isinstance(other, IdempotencyConflict)
    assert publish(known, new(key="k"), now=NOW + KEY_AGE) == [same]
    assert offsets(publish(known, new(key="k", time=NOW + KEY_AGE + 1), now=NOW + KEY_AGE + 1)) == [
        2
    ]


def test_channels_beyond_the_bound_are_refused_and_the_others_go_on() -> None:
    known = logs(max_channels=2)
    results = publish(known, new("a"), new("b"), new("c"), new("a"))
    assert [isinstance(result, TooManyChannels) for result in results] == [
        False,
        False,
        True,
        False,
    ]


def test_without_retention_nothing_is_stored_and_the_end_moves_on() -> None:
    known = logs(events=0)
    write = WriteTransaction(known, NOW, {"a"}, lambda log, key: None)
    write.publish([new(), new()])
    assert (write.rows, write.changed["a"].trimmed, len(write.announced)) == ([], 2, 2)


def born(known: SqliteLogs, *times: int) -> list[int]:
    """At which of these times an event in one channel is a birth."""
    found = []
    for time in times:
        write = WriteTransaction(known, time, (), lambda log, key: None)
        write.publish([new(time=time)])
        write.apply()
        found += [time] * len(write.born)
    return found


def test_a_channel_is_born_when_no_event_of_it_is_retained() -> None:
    assert born(logs(), NOW, NOW + 1, NOW + 10**9) == [NOW]
    assert born(logs(age=1000), NOW, NOW + 1000, NOW + 2001) == [NOW, NOW + 2001]
    assert born(logs(events=1, age=1000), NOW, NOW + 1000, NOW + 2001) == [NOW, NOW + 2001]


def test_a_channel_without_history_is_born_again_after_a_pause() -> None:
    pause = BIRTH_SECONDS * 1000
    times = [NOW, NOW + 1, NOW + pause, NOW + pause + 1, NOW + pause + 2]
    assert born(logs(events=0), *times) == [NOW, NOW + pause + 1]


def test_when_the_clock_was_set_back_a_channel_is_born_again() -> None:
    assert born(logs(age=1000), NOW, NOW - 1) == [NOW, NOW - 1]
