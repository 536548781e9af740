"""States on disk: what survives an opening, and databases of before."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventhub.brokers.sqlite.database import VERSION
from eventhub.brokers.sqlite.history import SqliteHistory
from eventhub.brokers.sqlite.pages import HistoryQuery
from eventhub.brokers.sqlite.store import SqliteStore
from eventhub.events.channel_types import Retention, StateRetention
from eventhub.events.event import DELETED, KEY, HistoryPage, NewEvent, State
from eventhub.events.keys import key_of

NOW = 1_795_000_000_000
KEPT = Retention(2, None, StateRetention(latest=True, keys=3))
FRESH = State()


@contextmanager
def opened(path: Path, retention: Retention = KEPT) -> Iterator[SqliteStore]:
    store = SqliteStore(
        path, lambda _: retention, lambda: NOW, synchronous="NORMAL", max_channels=10, max_keys=10
    )
    store.open()
    try:
        yield store
    finally:
        store.close()


def put(store: SqliteStore, *keys: str, attribute: str = KEY) -> None:
    store.append([[NewEvent("a", b"1", NOW, {attribute: key}) for key in keys]])


def read(
    path: Path, store: SqliteStore, since: State = FRESH, retention: Retention = KEPT
) -> HistoryPage:
    history = SqliteHistory(path, lambda: store.base)
    try:
        return history.read(HistoryQuery("a", since, 100, retention, NOW))
    finally:
        history.close()


def keys(page: HistoryPage) -> list[str]:
    return [key_of(event) for event in page.events]


def test_a_state_survives_an_opening_with_its_bounds(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with opened(path) as store:
        put(store, "x", "y", "z")
        held = read(path, store).end
        put(store, "y", "w")
        put(store, "gone", attribute=DELETED)
        assert keys(read(path, store)) == ["z", "y", "w"]
    with opened(path) as store:
        assert keys(read(path, store)) == ["z", "y", "w"]
        assert read(path, store, State(held)).lost is None
        put(store, "v")
        assert keys(read(path, store)) == ["y", "w", "v"]
        early = held._replace(offset=held.offset - 1)
        assert read(path, store, State(early)).lost == "expired"
    with opened(path) as store:
        assert read(path, store, State(early)).lost == "expired", "it is on disk"


def test_a_position_of_a_part_of_the_log_that_was_lost_gets_the_whole_state(
    tmp_path: Path,
) -> None:
    path = tmp_path / "events.db"
    with opened(path) as store:
        put(store, "x", "y")
        end = read(path, store).end
    with opened(path) as store:
        put(store, "z")
        lost = end._replace(offset=end.offset + 5)  # it was never given, or its event is lost
        page = read(path, store, State(lost))
        assert (page.lost, keys(page)) == ("expired", ["x", "y", "z"])
        assert keys(read(path, store, State(end))) == ["z"]


def test_a_database_of_format_1_gets_states(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with opened(path, Retention(100, None)) as store:
        put(store, "x")
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "DROP TABLE states; ALTER TABLE channels DROP COLUMN forgotten; PRAGMA user_version = 1"
        )
    connection.close()
    with opened(path, Retention(100, None, KEPT.state)) as store:
        put(store, "y")
        assert keys(read(path, store)) == ["y"], "older events are in no state"
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    connection.close()


def test_the_state_of_a_type_that_has_lost_its_key_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    with opened(path) as store:
        put(store, "x", "y")
    with opened(path, Retention(2, None)) as store:
        assert keys(read(path, store, FRESH, Retention(2, None))) == []
    with opened(path) as store:
        assert keys(read(path, store)) == []
