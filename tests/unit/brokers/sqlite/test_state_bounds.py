"""brokers/sqlite/states.py: which rows of a state are kept, and that they are counted."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from eventhub.brokers.sqlite import states
from eventhub.brokers.sqlite.history import SqliteHistory
from eventhub.brokers.sqlite.logs import SqliteLog
from eventhub.brokers.sqlite.pages import HistoryQuery
from eventhub.brokers.sqlite.store import SqliteStore
from eventhub.events.channel_types import Retention, StateRetention
from eventhub.events.event import DELETED, KEY, NewEvent, State
from eventhub.events.keys import key_of

NOW = 1_795_000_000_000
AGE = 1000


@contextmanager
def opened(path: Path, retention: Retention, *, max_channels: int = 10) -> Iterator[SqliteStore]:
    store = SqliteStore(
        path,
        lambda _: retention,
        lambda: NOW,
        synchronous="NORMAL",
        max_channels=max_channels,
        max_keys=10,
    )
    store.open()
    try:
        yield store
    finally:
        store.close()


def event(key: str, *, channel: str = "a", age: int = 0, attribute: str = KEY) -> NewEvent:
    return NewEvent(channel, b"1", NOW - age, {attribute: key})


def put(store: SqliteStore, *events: NewEvent) -> None:
    """In one transaction."""
    store.append([events])


def rows(path: Path) -> list[str]:
    """The keys that are in the file, the oldest first; those of deletions with a minus."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT key, deleted FROM states ORDER BY channel, offset")
        return [f"-{key}" if deleted else key for key, deleted in found]


def log_of(store: SqliteStore, channel: str = "a") -> SqliteLog:
    return store._logs.channels[channel]


def test_many_keys_and_deletions_too_many_leave_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "DELETIONS", 2)
    path = tmp_path / "events.db"
    kept = Retention(1, None, StateRetention(latest=True, keys=3))
    with opened(path, kept) as store:
        put(store, *map(event, "abcdefg"))
        assert rows(path) == ["e", "f", "g"]
        lost = log_of(store).forgotten
        put(store, *(event(key, attribute=DELETED) for key in "vwxyz"))
        assert rows(path) == ["e", "f", "g", "-y", "-z"]
        assert (log_of(store).keys, log_of(store).deletions) == (3, 2)
        assert log_of(store).forgotten == log_of(store).tip - 2 > lost
        put(store, event("h"))
        assert rows(path) == ["f", "g", "-y", "-z", "h"]
        put(store, event("y"))
        assert rows(path) == ["g", "-z", "h", "y"]
        assert (log_of(store).keys, log_of(store).deletions) == (3, 1)


def test_as_many_keys_and_deletions_as_are_allowed_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "DELETIONS", 2)
    path = tmp_path / "events.db"
    with opened(path, Retention(1, None, StateRetention(latest=True, keys=2))) as store:
        put(store, event("a"), event("b"))
        put(store, event("x", attribute=DELETED), event("y", attribute=DELETED))
        assert rows(path) == ["a", "b", "-x", "-y"]
        assert log_of(store).forgotten == 0


def test_keys_older_than_their_age_leave_and_are_counted_no_more(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    kept = Retention(1, None, StateRetention(latest=True, age=AGE))
    with opened(path, kept) as store:
        put(store, event("old", age=AGE + 1), event("gone", age=AGE + 1, attribute=DELETED))
        assert rows(path) == []
        assert (log_of(store).keys, log_of(store).deletions) == (0, 0)
        assert log_of(store).forgotten == log_of(store).tip
        put(store, event("edge", age=AGE), event("young", age=1))
        assert rows(path) == ["edge", "young"]
        assert log_of(store).keys == 2
        assert log_of(store).forgotten == log_of(store).tip - 2


def test_a_key_without_latest_leaves_with_its_event(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with opened(path, Retention(2, None, StateRetention())) as store:
        for key in "abcd":
            put(store, event(key))
        while store.tidy():
            pass
        assert rows(path) == ["c", "d"]
        history = SqliteHistory(path, lambda: store.base)
        kept = Retention(2, None, StateRetention())
        page = history.read(HistoryQuery("a", State(), 100, kept, NOW))
        history.close()
        assert [key_of(each) for each in page.events] == ["c", "d"]
        assert page.start.offset == 0, "a state begins with nothing"


def test_the_state_of_a_channel_that_is_forgotten_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    kept = Retention(0, None, StateRetention(latest=True))
    with opened(path, kept, max_channels=2) as store:
        put(store, event("gone", channel="a", attribute=DELETED))
        put(store, event("kept", channel="b"))
        put(store, event("new", channel="c"))
        assert "a" not in store._logs.channels
        assert rows(path) == ["kept", "new"]


def test_the_state_of_a_channel_that_is_not_there_is_deleted_on_opening(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    kept = Retention(2, None, StateRetention(latest=True))
    with opened(path, kept) as store:
        put(store, event("x"))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO states SELECT 999, 'y', 1, 1, 1, NULL, x'31', 0")
    with opened(path, kept) as store:
        assert rows(path) == ["x"]
        assert log_of(store).keys == 1
