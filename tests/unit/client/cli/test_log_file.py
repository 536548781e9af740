"""A growing file, through rotation and restarts of its reader."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventhub_client.cli.log_file import BATCH_LINES, LINE_BYTES, LineBatch, LogFile


class Reader:
    """A reader of app.log, which can be restarted."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "app.log"
        self.state = folder / "state.json"
        self.said: list[str] = []
        self.file = LogFile(self.path, self.state, self.said.append, looks=1)

    def restart(self) -> None:
        self.file.close()
        self.file = LogFile(self.path, self.state, self.said.append, looks=1)

    def write(self, text: str) -> None:
        with self.path.open("a") as file:
            file.write(text)

    def lines(self) -> list[str]:
        """All lines that are there, each batch stored."""
        found: list[str] = []
        while (batch := self.file.next_batch()) is not None:
            found += batch.lines
            self.file.done(batch)
        return found

    def batch(self) -> LineBatch:
        batch = self.file.next_batch()
        assert batch is not None
        return batch


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.file.close()


def test_a_file_that_is_not_there_yet_is_waited_for_and_that_is_said_once(reader: Reader) -> None:
    assert (reader.lines(), reader.lines()) == ([], [])
    assert reader.said == [f"{reader.path}: there is no such file yet"]
    assert not reader.file.was_found
    reader.write("a\nb\n")
    assert reader.lines() == ["a", "b"]
    assert reader.lines() == []


def test_a_line_is_read_when_its_end_is_there(reader: Reader) -> None:
    reader.write("a\nb")
    assert reader.lines() == ["a"]
    reader.write("c\n")
    assert reader.lines() == ["bc"]


def test_a_restart_goes_on_behind_what_was_stored(reader: Reader) -> None:
    reader.write("a\n")
    assert reader.lines() == ["a"]
    reader.restart()
    reader.write("b\n")
    assert reader.lines() == ["b"]


def test_after_a_crash_the_same_lines_come_under_the_same_key(reader: Reader) -> None:
    reader.write("a\nb\n")
    first = reader.batch()
    reader.write("c\n")  # a batch that was formed now would have it
    reader.restart()
    assert reader.batch() == first
    assert first.lines == ["a", "b"]
    reader.file.done(first)
    after = reader.batch()
    assert after.lines == ["c"]
    assert after.key != first.key


def test_a_renamed_file_is_read_to_its_end_before_the_new_one(reader: Reader) -> None:
    reader.write("a\n")
    assert reader.lines() == ["a"]
    old = reader.path.rename(reader.path.with_name("app.log.1"))
    reader.write("new\n")
    with old.open("a") as file:
        file.write("late\nend")  # its last line has no end, and will not get one
    assert reader.lines() == ["late", "end", "new"]


def test_a_file_that_was_renamed_while_the_reader_was_away_is_finished_first(
    reader: Reader,
) -> None:
    reader.write("a\n")
    assert reader.lines() == ["a"]
    reader.write("b\n")
    reader.path.rename(reader.path.with_name("app.log.1"))
    reader.write("c\n")
    reader.restart()
    assert reader.lines() == ["b", "c"]
    assert reader.said == []


def test_files_that_were_renamed_while_the_reader_was_away_are_read_in_order(
    reader: Reader,
) -> None:
    reader.write("a\n")
    assert reader.lines() == ["a"]
    for number, name in enumerate(("app.log.3", "app.log.2", "app.log-20261130")):
        old = reader.path.rename(reader.path.with_name(name))
        os.utime(old, ns=(0, 4 * 10**18 + number))
        reader.write(f"after {name}\n")
    reader.path.with_name("app.log.conf").write_text("not a log\n")
    reader.path.with_name("app.log.1").write_text("older\n")
    os.utime(reader.path.with_name("app.log.1"), ns=(0, 10**18))
    reader.restart()
    assert reader.lines() == ["after app.log.3", "after app.log.2", "after app.log-20261130"]


def test_a_file_that_is_gone_is_said(reader: Reader) -> None:
    reader.write("a\n")
    assert reader.lines() == ["a"]
    reader.path.rename(reader.path.parent.parent / f"{reader.path.parent.name}-gone")
    reader.write("c\n")
    reader.restart()
    assert reader.lines() == ["c"]
    (said,) = reader.said
    assert "what it had after byte 2 is lost" in said


def test_an_emptied_file_is_read_from_its_beginning_under_other_keys(reader: Reader) -> None:
    reader.write("a\nb\n")
    first = reader.batch()
    reader.file.done(first)
    reader.path.write_text("")
    assert reader.lines() == []
    reader.path.write_text("a\nb\n")
    again = reader.batch()
    assert again.lines == ["a", "b"]
    assert again.key != first.key


def test_a_file_that_is_emptied_while_a_batch_is_open_goes_on(reader: Reader) -> None:
    reader.write("a\nb\n")
    reader.batch()
    reader.path.write_text("c\n")
    reader.restart()
    assert reader.lines() == ["c"]


def test_a_batch_has_a_bound_and_a_long_line_is_cut(reader: Reader) -> None:
    reader.write("x\n" * (BATCH_LINES + 1))
    assert len(reader.batch().lines) == BATCH_LINES
    reader.file.done(reader.batch())
    assert reader.lines() == ["x"]
    reader.write("y" * (LINE_BYTES + 5) + "\nz\n")
    assert [len(line) for line in reader.lines()] == [LINE_BYTES, 5, 1]


def test_blank_lines_are_left_out_and_bytes_that_are_no_text_are_replaced(reader: Reader) -> None:
    reader.path.write_bytes(b"\n a \r\n\xff\n")
    assert reader.lines() == ["a", "\ufffd"]


def test_a_renamed_file_is_read_until_it_has_been_quiet_for_some_looks(reader: Reader) -> None:
    reader.file = LogFile(reader.path, reader.state, reader.said.append, looks=3)
    reader.write("a\n")
    assert reader.lines() == ["a"]
    old = reader.path.rename(reader.path.with_name("app.log.1"))
    reader.write("new\n")
    assert reader.lines() == []
    with old.open("a") as file:
        file.write("late\n")
    assert [reader.lines() for _ in range(3)] == [["late"], [], ["new"]]


@pytest.mark.parametrize("text", ["{", "[]", json.dumps({"inode": 1})])
def test_a_damaged_state_is_named(reader: Reader, text: str) -> None:
    reader.state.write_text(text)
    with pytest.raises(ValueError, match=r"state\.json does not say where the file was read to"):
        reader.file.next_batch()


def test_a_file_that_is_gone_is_said_once_until_there_is_a_new_one(reader: Reader) -> None:
    reader.write("a\n")
    assert reader.lines() == ["a"]
    reader.path.unlink()
    reader.restart()
    assert (reader.lines(), reader.lines()) == ([], [])
    (said,) = reader.said
    assert "is gone; what it had after byte 2 is lost" in said
    assert reader.file.was_found
    reader.write("b\n")
    assert reader.lines() == ["b"]


@pytest.mark.parametrize("written", ["b\n", "longer\nthan before\n"])
def test_another_file_with_the_same_inode_is_read_from_its_beginning(
    reader: Reader, written: str
) -> None:
    reader.write("a\n")
    assert reader.batch().lines == ["a"]
    first = reader.batch()
    reader.file.done(first)
    reader.file.close()
    reader.path.write_text(written)  # in place, so the inode stays
    reader.restart()
    second = reader.batch()
    assert second.lines == written.splitlines()
    assert second.key != first.key
    assert "is lost" in reader.said[0]


def test_a_mark_of_an_earlier_version_is_good(reader: Reader) -> None:
    reader.write("a\n")
    reader.lines()
    mark = json.loads(reader.state.read_text())
    reader.state.write_text(json.dumps({**mark, "known": 0, "first": ""}))
    reader.write("b\n")
    reader.restart()
    assert reader.lines() == ["b"]
