"""brokers/sqlite/writer.py: what shares a transaction, and what follows a fault."""

import sqlite3
from types import SimpleNamespace

import pytest

from eventhub.brokers.sqlite import writer as module
from eventhub.brokers.sqlite.writer import RECOVERY_SECONDS, SWEEP_SECONDS, TIDY_SECONDS
from eventhub.errors import ConfigurationError
from tests.unit.brokers.sqlite.writers import PATIENCE, Written, fault, publish, start, stop


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Written:
    return Written(monkeypatch)


def test_what_waits_is_stored_in_one_transaction_and_answered_together(written: Written) -> None:
    for text in "123":
        written.queue.at(0, publish(text))
    written.queue.at(1, publish("4", "5"))
    written.run(2)
    assert written.store.appended == [[b"1", b"2", b"3"], [b"4", b"5"]]
    assert written.told == [("stored", "1", "2", "3"), ("stored", "4,5")]


def test_a_transaction_ends_with_the_publish_that_makes_it_large(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROUP_BYTES", 10)
    for text in "12345":
        written.queue.at(0, publish(text, size=5))
    written.queue.at(0, start("chat.a"))
    written.run(1)
    assert written.store.appended == [[b"1", b"2"], [b"3", b"4"], [b"5"]]


def test_requests_before_the_end_are_handled_and_then_the_database_is_closed(
    written: Written,
) -> None:
    written.queue.at(0, publish("1"))
    written.run(0)
    assert written.told == [("stored", "1")]
    assert not written.store.is_open


def test_a_publish_whose_caller_has_gone_is_not_stored(written: Written) -> None:
    written.queue.at(0, publish("1"))
    written.queue.at(0, publish("2", done=True))
    written.run(1)
    assert written.store.appended == [[b"1"]]
    assert ("refused", "2") in written.told
    assert "no longer waited" in written.reason


def test_an_unforeseen_error_fails_one_publish_and_the_others_are_stored(
    written: Written,
) -> None:
    for text in ("1", "bad", "3"):
        written.queue.at(0, publish(text))
    written.run(1)
    assert written.told == [("stored", "1"), ("failed", "bad"), ("stored", "3")]
    assert written.writer.complaint() is None


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY])
def test_while_the_disk_is_full_the_database_stays_open_and_publishes_are_refused(
    written: Written, code: int
) -> None:
    written.store.faults = {"append": [fault(code)], "probe": [fault(code)]}
    written.store.subscribed.add("chat.a")
    written.queue.at(0, publish("1"))
    written.queue.at(0.5, publish("2"))
    written.queue.at(0.6, start("chat.b"))
    written.queue.at(1.5, publish("3"))
    written.queue.at(2.5, publish("4"))
    written.run(3)
    assert written.told == [
        ("refused", "1"),
        ("refused", "2"),
        ("subscribed", "chat.b", 2),
        ("refused", "3"),
        ("stored", "4"),
    ]
    assert "as the disk says" in written.reason
    assert written.store.times("append") == [0, 2.5]
    assert written.store.times("probe") == [RECOVERY_SECONDS, 2 * RECOVERY_SECONDS]
    assert written.store.times("close") == [3], "its end"
    assert written.writer.complaint() is None


def test_after_any_other_error_the_database_is_opened_again_and_readers_look(
    written: Written,
) -> None:
    written.store.faults = {
        "append": [fault(sqlite3.SQLITE_IOERR)],
        "open": [fault(sqlite3.SQLITE_CANTOPEN), ConfigurationError("no database")],
        "probe": [fault(sqlite3.SQLITE_FULL)],
    }
    written.store.subscribed.add("chat.a")
    written.queue.at(0, publish("1"))
    written.queue.at(0.5, start("chat.b"))
    written.queue.at(0.5, start("chat.c", done=True))
    written.queue.at(4.5, publish("2"))
    written.run(5)
    assert written.told == [
        ("refused", "1"),
        ("opened",),
        ("subscribed", "chat.b", 2),
        ("doubted", "chat.a", "chat.b"),
        ("stored", "2"),
    ]
    assert written.store.times("open") == [1, 2, 3]
    assert written.store.times("probe") == [3, 4]


def test_after_the_disk_was_full_readers_are_not_asked_to_look_again(written: Written) -> None:
    written.store.faults = {
        "append": [fault(sqlite3.SQLITE_IOERR), fault(sqlite3.SQLITE_FULL)],
    }
    written.queue.at(0, publish("1"))
    written.queue.at(2, publish("2"))
    written.run(4)
    assert written.told.count(("doubted",)) == 1


def test_attempts_to_recover_are_spread(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return low

    monkeypatch.setattr(module, "random", SimpleNamespace(uniform=uniform))
    written.store.faults = {"append": [fault(sqlite3.SQLITE_FULL)]}
    written.queue.at(0, publish("1"))
    written.run(0.7)
    assert asked == [(0.5, 1)]
    assert written.store.times("probe") == [0.5]


def test_a_database_that_cannot_be_opened_at_the_start_is_opened_later(written: Written) -> None:
    written.store.is_open = False
    written.store.faults = {"open": [fault(sqlite3.SQLITE_IOERR)]}
    written.writer.open()
    assert "cannot be written" in str(written.writer.complaint())
    written.queue.at(1, start("chat.a"))
    written.run(2)
    assert written.told == [("opened",), ("subscribed", "chat.a", 1), ("doubted", "chat.a")]


def test_an_unusable_file_is_refused_at_the_start(written: Written) -> None:
    written.store.faults = {"open": [ConfigurationError("no database")]}
    with pytest.raises(ConfigurationError):
        written.writer.open()


def test_a_channel_that_nobody_listens_to_any_more_is_not_announced(written: Written) -> None:
    written.queue.at(0, start("chat.a"))
    written.queue.at(0, start("chat.b", done=True))
    written.run(0.5)
    assert written.store.subscribed == {"chat.a"}
    written.queue.at(1, stop("chat.a"))
    written.queue.at(1, stop("chat.never"))
    written.run(2)
    assert written.store.subscribed == set()


def test_what_is_too_old_is_looked_for_in_turn_and_deleted_in_parts(written: Written) -> None:
    written.store.more = 2
    written.run(2.5 * SWEEP_SECONDS)
    assert written.store.times("expire") == [0, SWEEP_SECONDS, 2 * SWEEP_SECONDS]
    tidied = [0, TIDY_SECONDS, 2 * TIDY_SECONDS, SWEEP_SECONDS, 2 * SWEEP_SECONDS]
    assert written.store.times("tidy") == pytest.approx(tidied)


def test_a_fault_while_it_deletes_ends_nothing(written: Written) -> None:
    written.store.faults = {"tidy": [ZeroDivisionError(), fault(sqlite3.SQLITE_FULL)]}
    written.run(SWEEP_SECONDS + 3)
    assert written.store.times("tidy")[:2] == [0, SWEEP_SECONDS]
    assert written.store.times("probe") == [SWEEP_SECONDS + RECOVERY_SECONDS]


def test_a_database_that_is_another_one_now_ends_the_writer(written: Written) -> None:
    written.store.faults = {"tidy": [ConfigurationError("taken away")]}
    with pytest.raises(ConfigurationError):
        written.run(1)
    assert not written.store.is_open


def test_a_transaction_that_takes_too_long_is_a_complaint_while_it_lasts(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[str | None] = []

    def slow(step: str) -> None:
        complaints.append(written.writer.complaint())
        written.queue.now += PATIENCE
        complaints.append(written.writer.complaint())
        written.queue.now += 1
        complaints.append(written.writer.complaint())

    monkeypatch.setattr(written.store, "_does", slow)
    written.queue.at(0, publish("1"))
    written.run(0)
    patient, bound, late = complaints[:3]
    assert (patient, bound) == (None, None)
    assert late == "the disk has been busy with one transaction for 6 s"
    assert written.writer.complaint() is None


@pytest.mark.parametrize("texts", [("1",), ("bad",)], ids=["stored", "failed"])
def test_once_a_transaction_is_over_there_is_no_complaint(
    written: Written, texts: tuple[str, ...]
) -> None:
    complaints: list[str | None] = []

    def look() -> bool:
        complaints.append(written.writer.complaint())
        return True

    later = start("chat.a")
    later.answer = SimpleNamespace(done=look)  # type: ignore[assignment]
    written.queue.at(1, publish(*texts))
    written.queue.at(2 + PATIENCE, later)
    written.run(2 + PATIENCE)
    assert complaints == [None]
