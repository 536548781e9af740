"""brokers/sqlite/store.py: one transaction deletes so many rows, of however many channels."""

from pathlib import Path

from eventhub.brokers.sqlite.store import TRIM_ROWS
from tests.unit.brokers.sqlite.test_store import Files


def test_the_rows_of_all_channels_together_are_deleted_in_parts(tmp_path: Path) -> None:
    files = Files(tmp_path / "events.db", age=1000)
    for channel in "abc":
        files.publish(TRIM_ROWS * 6 // 10, channel)
    files.now += 1001
    files.store.expire()
    left = []
    while files.store.tidy():
        left.append(rows(files))
    assert left[:2] == [TRIM_ROWS * 8 // 10, 0]
    files.store.close()
    files.history.close()


def rows(files: Files) -> int:
    (count,) = files.store._open.execute("SELECT count(*) FROM events").fetchone()
    return int(count)
