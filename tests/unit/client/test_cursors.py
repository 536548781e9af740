"""eventhub_client/cursors.py: positions in a file."""

import os
from pathlib import Path

import pytest

from eventhub_client.cursors import COMPACT_LINES, FileCursor


def test_positions_outlive_the_object_and_replace_each_other(tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    assert FileCursor(path).load() == {}
    FileCursor(path).store({"a.b": "k-1"})
    cursor = FileCursor(path)
    cursor.store({"c.d": "k-2"})
    cursor.store({"a.b": "k-3"})
    assert FileCursor(path).load() == {"a.b": "k-3", "c.d": "k-2"}
    assert [each.name for each in tmp_path.iterdir()] == ["cursor.json"]


def test_a_line_that_was_cut_off_does_not_count_and_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    path.write_text('{"a.b":"k-1"}\n{"a.b":"k-')
    cursor = FileCursor(path)
    assert cursor.load() == {"a.b": "k-1"}
    cursor.store({"c.d": "k-2"})
    assert FileCursor(path).load() == {"a.b": "k-1", "c.d": "k-2"}


def test_several_positions_are_stored_together(tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    cursor = FileCursor(path)
    cursor.store({"a.b": "k-1"})
    cursor.store({"a.b": "k-2", "c.d": "k-3"})
    assert FileCursor(path).load() == {"a.b": "k-2", "c.d": "k-3"}
    assert path.read_text().count("\n") == 2


@pytest.mark.parametrize("restart", [100, 10_000])
def test_the_file_stays_short(tmp_path: Path, restart: int) -> None:
    path = tmp_path / "cursor.json"
    cursor = FileCursor(path)
    for number in range(3 * COMPACT_LINES):
        cursor.store({"a.b": f"k-{number}"})
        if number % restart == 0:
            cursor = FileCursor(path)
    assert path.read_text().count("\n") <= COMPACT_LINES + 1
    assert cursor.load() == {"a.b": f"k-{3 * COMPACT_LINES - 1}"}


def test_a_file_of_many_channels_is_not_written_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    path.write_text("".join(f'{{"a.{number}":"k-1"}}\n' for number in range(COMPACT_LINES + 1)))
    file = path.stat().st_ino
    FileCursor(path).store({"a.0": "k-2"})
    assert path.stat().st_ino == file


def test_a_position_that_is_stored_leaves_no_file_open(tmp_path: Path) -> None:
    cursor, files = FileCursor(tmp_path / "cursor.json"), Path("/proc/self/fd")
    before = len(list(files.iterdir()))
    for number in range(50):
        cursor.store({"a.b": f"k-{number}"})
    assert len(list(files.iterdir())) == before


def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cursor.json"
    FileCursor(path).store({"a.b": "k-1"})

    def full(file: int, data: bytes) -> int:
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        cursor = FileCursor(path)
        with pytest.raises(OSError, match="no space"):
            cursor.store({"a.b": "k-2"})
    assert FileCursor(path).load() == {"a.b": "k-1"}


def test_a_file_that_cannot_be_written_anew_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cursor.json"
    path.write_text('{"a.b":"k-1"}\n{"a.b":"k-')  # it is written anew because of its last line

    def full(file: Path, text: str, **_: str) -> int:
        file.write_bytes(text.encode()[:3])
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="no space"):
            FileCursor(path).store({"a.b": "k-2"})
    assert FileCursor(path).load() == {"a.b": "k-1"}


def test_a_line_that_is_written_in_part_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cursor.json"
    cursor = FileCursor(path)
    cursor.store({"a.b": "k-1"})
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda file, data: write(file, data[:3]))
        cursor.store({"a.b": "k-2"})
    assert path.read_text() == '{"a.b": "k-2"}\n'


@pytest.mark.parametrize("damage", ["", "{\n", "[]\n", '{"a.b":1}\n', '{"a.b":"k-1"}'])
def test_a_damaged_file_is_an_error_and_never_a_silent_begin(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cursor.json"
    path.write_text(damage)
    with pytest.raises(ValueError, match="is not a cursor; expected lines such as"):
        FileCursor(path).load()
