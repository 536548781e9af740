"""brokers/sqlite/store.py and history.py: what is on disk, and what readers see of it."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import orjson
import pytest

from eventhub.brokers.sqlite import history as history_module
from eventhub.brokers.sqlite import store as store_module
from eventhub.brokers.sqlite.bulk_insert import ROWS
from eventhub.brokers.sqlite.database import open_reader
from eventhub.brokers.sqlite.history import SqliteHistory
from eventhub.brokers.sqlite.pages import HistoryQuery
from eventhub.brokers.sqlite.store import SqliteStore
from eventhub.errors import TooManyChannels
from eventhub.events.channel_types import Retention
from eventhub.events.event import (
    Age,
    Earliest,
    HistoryPage,
    Last,
    NewEvent,
    Position,
    Receipt,
    Start,
)


class Files:
    """A store and a reader on one database, at a time moved by hand."""

    def __init__(
        self,
        path: Path,
        events: int = 1000,
        age: int | None = None,
        max_channels: int = 1000,
        max_keys: int = 1000,
    ) -> None:
        self.path = path
        self.now = 1_795_000_000_000
        self.retention = Retention(events, age)
        self.bounds = (max_channels, max_keys)
        self.history = SqliteHistory(path, lambda: self.store.base)
        self.store = self.open()

    def open(self) -> SqliteStore:
        channels, keys = self.bounds
        store = SqliteStore(
            self.path,
            lambda channel: self.retention,
            lambda: self.now,
            synchronous="NORMAL",
            max_channels=channels,
            max_keys=keys,
        )
        store.open()
        return store

    def reopen(self) -> None:
        self.store.close()
        self.store = self.open()

    def publish(
        self, count: int = 1, channel: str = "a", size: int = 1, key: str | None = None
    ) -> list[object]:
        events = [
            NewEvent(
                channel, b"1" if size == 1 else b'"%b"' % (b"1" * (size - 2)), self.now, None, key
            )
            for _ in range(count)
        ]
        (results,), *_ = self.store.append([events])
        return list(results)

    def positions(self, count: int = 1, channel: str = "a") -> list[Position]:
        return [
            result.position
            for result in self.publish(count, channel)
            if isinstance(result, Receipt)
        ]

    def read(self, since: Start, channel: str = "a", limit: int = 10_000) -> HistoryPage:
        return self.history.read(HistoryQuery(channel, since, limit, self.retention, self.now))

    def count(self, table: str = "events") -> int:
        with closing(sqlite3.connect(self.path)) as connection:
            return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])

    def tidy(self) -> None:
        self.store.expire()
        while self.store.tidy():
            pass

    def close(self) -> None:
        self.history.close()
        self.store.close()


Open = Callable[..., Files]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Open]:
    """Opens a database with the bounds given."""
    opened: list[Files] = []

    def start(**bounds: int) -> Files:
        opened.append(Files(tmp_path / "events.db", **bounds))
        return opened[-1]

    yield start
    for files in opened:
        files.close()


def offsets(piece: HistoryPage) -> list[int]:
    return [event.offset for event in piece.events]


@pytest.mark.parametrize("count", [1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS])
def test_any_number_of_rows_is_written(start: Open, count: int) -> None:
    files = start()
    files.publish(count)
    assert offsets(files.read(Earliest())) == list(range(1, count + 1))


def test_readers_never_see_more_than_retention_and_the_disk_holds_little_more(start: Open) -> None:
    files = start(events=80)
    most = 0
    for _ in range(100):
        *_, last = files.positions(7)
        most = max(most, files.count())
        assert offsets(files.read(Earliest()))[-80:] == offsets(files.read(Earliest()))
        assert files.read(Earliest()).reached == last
    assert 80 < most <= 80 + 80 // 8 + 7
    piece = files.read(Position(last.epoch, last.offset - 81))
    assert (piece.lost, len(piece.events)) == ("expired", 80)
    assert files.read(Position(last.epoch, last.offset - 80)).lost is None


def test_a_retention_that_was_lowered_holds_at_once(start: Open) -> None:
    files = start(events=100)
    files.publish(100)
    files.retention = Retention(10, None)
    files.reopen()
    assert offsets(files.read(Earliest())) == list(range(91, 101))
    files.tidy()
    assert files.count() == 10
    assert offsets(files.read(Earliest())) == list(range(91, 101))


def test_history_can_be_turned_off_and_on(start: Open) -> None:
    files = start(events=100)
    before = files.positions(5)
    files.retention = Retention(0, None)
    files.reopen()
    assert list(files.read(Earliest()).events) == []
    between = files.positions(5)
    assert files.read(Earliest()).end == between[-1]
    files.retention = Retention(100, None)
    files.reopen()
    after = files.positions(2)
    piece = files.read(Earliest())
    assert [event.position for event in piece.events] == after
    assert piece.events[0].previous == between[-1].offset
    assert files.read(before[-1]).lost == "expired"
    assert files.read(between[-1]).lost is None


def test_what_is_too_old_is_not_shown_and_then_deleted(start: Open) -> None:
    files = start(age=1000)
    first, *_, last = files.positions(5000)
    files.now += 1001
    piece = files.read(first)
    assert (list(piece.events), piece.lost, piece.end) == ([], "expired", last)
    assert files.count() == 5000
    files.tidy()
    assert files.count() == 0
    assert files.read(last).lost is None
    (new,) = files.positions(1)
    piece = files.read(last)
    assert [(event.previous, event.position) for event in piece.events] == [(last.offset, new)]


def test_deleting_is_done_in_parts(start: Open) -> None:
    files = start(age=1000)
    files.publish(2500)
    files.now += 1001
    files.store.expire()
    counts = []
    while files.store.tidy():
        counts.append(files.count())
    assert counts[:3] == [1500, 500, 0]


def test_pages_are_bounded_by_bytes_and_events_by_their_limit(start: Open) -> None:
    files = start()
    files.publish(10, size=100_000)
    assert offsets(files.read(Earliest())) == [1, 2, 3]
    assert offsets(files.read(Earliest(), limit=2)) == [1, 2]


def test_pages_join_over_openings(start: Open) -> None:
    files = start()
    *_, old = files.positions(3)
    files.now += 5000
    files.reopen()
    new, _ = files.positions(2)
    assert new.offset > old.offset + 2**20
    piece = files.read(Earliest())
    assert [event.previous for event in piece.events] == [0, 1, 2, 3, new.offset]
    assert offsets(files.read(Last(3))) == [3, new.offset, new.offset + 1]
    assert offsets(files.read(Age(1000))) == [new.offset, new.offset + 1]
    for offset in (old.offset + 1, new.offset - 1):
        assert files.read(Position(old.epoch, offset)).lost == "reset", (
            "an offset that was never given in this log"
        )


def test_attributes_and_data_come_back_as_they_were(start: Open) -> None:
    files = start()
    events = [
        NewEvent("a", '"é"'.encode(), files.now, {"source": "ü", "subject": "a\nb"}),
        NewEvent("a", b"{}", files.now),
        NewEvent("a", orjson.dumps("".join(map(chr, range(0x800)))), files.now, {}),
    ]
    files.store.append([events])
    read = files.read(Earliest()).events
    assert [(event.data, event.attributes) for event in read] == [
        (event.data, event.attributes) for event in events
    ]


def test_a_forgotten_channel_comes_back_above_everything_it_had_even_after_a_restart(
    start: Open,
) -> None:
    files = start(age=1000, max_channels=1)
    *_, old = files.positions(5)
    assert isinstance(files.publish(channel="b")[0], TooManyChannels)
    files.now += 1001
    assert isinstance(files.publish(channel="b")[0], Receipt)
    assert files.read(Position(old.epoch, old.offset - 1)).lost == "expired"
    assert files.count("channels") == 1
    files.reopen()
    files.now += 1001
    (new,) = files.positions()
    assert new.offset > old.offset
    assert files.read(Position(old.epoch, 1)).lost == "expired", (
        "the reader of a forgotten log is told"
    )


def test_a_subscribed_channel_is_never_forgotten(start: Open) -> None:
    files = start(age=1000, max_channels=1)
    files.publish()
    files.store.subscribed.add("a")
    files.now += 1001
    assert isinstance(files.publish(channel="b")[0], TooManyChannels)


def test_keys_leave_the_table_after_ten_minutes(start: Open) -> None:
    files = start()
    for number in range(10):
        files.publish(key=f"k{number}")
    files.now += 300_000
    files.publish(key="young")
    files.now += 300_001
    files.tidy()
    assert files.count("keys") == 1
    files.reopen()
    (again,) = files.publish(key="young")
    assert isinstance(again, Receipt)
    assert again.replayed


def test_space_is_given_back(start: Open) -> None:
    files = start(age=1000)
    files.publish(1000, size=10_000)
    files.tidy()
    files.store.close()
    full = files.path.stat().st_size
    files.store = files.open()
    files.now += 1001
    files.tidy()
    files.store.close()
    assert full > 10_000_000
    assert files.path.stat().st_size < full / 3


def test_the_write_ahead_log_is_cut_off_when_readers_kept_it_long(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "WAL_BYTES", 1024 * 1024)
    files = start()
    files.publish()
    reader = sqlite3.connect(files.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    files.publish(30, size=1_000_000)
    log = Path(f"{files.path}-wal")
    assert log.stat().st_size > 20_000_000
    reader.close()
    files.tidy()
    assert log.stat().st_size == 0


@pytest.mark.parametrize("reopened", [False, True])
def test_reading_costs_a_page_and_not_what_is_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    reopened: bool,  # noqa: FBT001
) -> None:
    """Counted in steps of SQLite's machine, of reads from the newest, the oldest and the middle."""
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    def counting(
        path: Path, opened: Callable[[Path], sqlite3.Connection] = open_reader
    ) -> sqlite3.Connection:
        connection = opened(path)
        connection.set_progress_handler(step, 1)
        return connection

    def cost(count: int) -> dict[str, int]:
        nonlocal steps
        files = Files(tmp_path / f"{count}.db", events=count - count // 10)
        times = files.now
        positions = []
        for part in range(10):
            if reopened and part == 5:
                files.reopen()
            events = [
                NewEvent("a", b"1", times + number, None)
                for number in range(part * count // 10, (part + 1) * count // 10)
            ]
            (results,), *_ = files.store.append([events])
            positions += [result.position for result in results if isinstance(result, Receipt)]
        files.now = times + count
        costs = {}
        whence: dict[str, Start] = {
            "newest": Age(1),
            "half": Age(count // 2),
            "last": Last(5),
            "many": Last(count // 2),
            "middle": positions[count // 2],
            "old": Earliest(),
        }
        files.read(Earliest(), limit=1)
        for name, since in whence.items():
            steps = 0
            files.read(since, limit=10)
            costs[name] = steps
        files.close()
        return costs

    monkeypatch.setattr(history_module, "open_reader", counting)
    small, large = cost(500), cost(16_000)
    assert {name: large[name] <= 2.5 * small[name] for name in small} == dict.fromkeys(
        small, True
    ), (small, large)
