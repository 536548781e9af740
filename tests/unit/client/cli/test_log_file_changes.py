"""eventhub_client/cli/log_file.py: files that are renamed, emptied or replaced at bad moments."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventhub_client.cli.log_file import LINE_BYTES, LogFile
from tests.unit.client.cli.test_log_file import Reader

LONG = "h" * 70


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.file.close()


def at(path: Path, seconds: int) -> None:
    """When it was last written to."""
    os.utime(path, ns=(0, seconds * 10**9))


def test_a_restart_after_several_batches_knows_the_file_again(reader: Reader) -> None:
    for line in ("a", "b", "c"):
        reader.write(f"{line}\n")
        assert reader.lines() == [line]
        reader.restart()
    assert (reader.lines(), reader.said) == ([], [])


def test_another_file_that_begins_alike_has_other_keys(reader: Reader) -> None:
    reader.write(f"{LONG}\na\n")
    first = reader.batch()
    reader.file.done(first)
    reader.file.close()
    reader.path.write_text(f"{LONG}\nb\n")  # in place, so the inode stays
    reader.restart()
    second = reader.batch()
    assert second.lines == [LONG, "b"]
    assert second.key != first.key


def test_another_file_has_other_keys_although_the_state_was_lost(reader: Reader) -> None:
    reader.write("a\n")
    first = reader.batch()
    reader.file.close()
    reader.state.unlink()
    reader.path.write_text("b\n")
    reader.restart()
    assert reader.batch().key != first.key


def test_a_file_that_is_removed_while_it_is_looked_for_is_no_error(reader: Reader) -> None:
    reader.write("a\n")
    assert reader.lines() == ["a"]
    reader.path.with_name("app.log.1").symlink_to("nowhere")
    reader.restart()
    reader.write("b\n")
    assert reader.lines() == ["b"]


def test_a_name_may_hold_what_a_shell_would_replace(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.path = tmp_path / "app[1].log"
    reader.restart()
    reader.write("a\n")
    assert reader.lines() == ["a"]
    reader.write("b\n")
    reader.path.rename(tmp_path / "app[1].log.1")
    reader.write("c\n")
    reader.restart()
    assert (reader.lines(), reader.said) == (["b", "c"], [])
    reader.file.close()


def test_files_that_were_last_written_to_at_the_same_time_are_read_once(reader: Reader) -> None:
    reader.write("a\n")
    at(reader.path, 10)
    assert reader.lines() == ["a"]
    for name, line in (("app.log.2", "b\n"), ("app.log.1", "c\n")):
        reader.path.rename(reader.path.with_name(name))
        reader.write(line)
        at(reader.path, 10)
    found: list[str] = []
    for _ in range(5):  # each file, and more
        reader.restart()
        if (batch := reader.file.next_batch()) is not None:
            found += batch.lines
            reader.file.done(batch)
    assert found == ["b", "c"]


def test_a_file_that_was_written_to_before_the_last_line_is_not_read(reader: Reader) -> None:
    reader.write("a\n")
    at(reader.path, 10)
    assert reader.lines() == ["a"]
    older = reader.path.with_name("app.log.1")
    older.write_text("read before\n")
    at(older, 15)
    reader.write("b\n")
    at(reader.path, 20)
    assert reader.lines() == ["b"]
    reader.path.rename(reader.path.with_name("app.log.2"))
    reader.write("c\n")
    assert [reader.lines() for _ in range(2)] == [["c"], []]


def test_the_last_line_of_a_new_file_waits_for_its_end(reader: Reader) -> None:
    reader.write("a\n")
    assert reader.lines() == ["a"]
    reader.path.rename(reader.path.with_name("app.log.1"))
    reader.write("b\npart")
    assert [reader.lines() for _ in range(2)] == [["b"], []]
    reader.write(" and end\n")
    assert reader.lines() == ["part and end"]


def test_files_that_were_renamed_in_between_are_read_without_a_pause(reader: Reader) -> None:
    reader.file = LogFile(reader.path, reader.state, reader.said.append, looks=3)
    reader.write("a\n")
    assert reader.lines() == ["a"]
    for number, name in enumerate(("app.log.2", "app.log.1")):
        old = reader.path.rename(reader.path.with_name(name))
        at(old, 4 * 10**9 + number)
        reader.write(f"after {name}\n")
    assert reader.lines() == ["after app.log.2"]


def test_a_file_that_is_emptied_under_an_open_batch_is_read_from_its_beginning(
    reader: Reader,
) -> None:
    reader.write("a\nb\n")
    reader.batch()
    reader.path.write_text("c")
    assert reader.lines() == []
    reader.write("d\n")
    assert reader.lines() == ["cd"]


def test_a_state_that_cannot_be_written_leaves_the_one_before(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.write("a\n")
    assert reader.lines() == ["a"]
    reader.write("b\n")

    def full(file: Path, text: str, **_: str) -> int:
        file.write_bytes(text.encode()[:3])
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(OSError, match="no space"):
            reader.file.next_batch()
    reader.restart()
    assert reader.lines() == ["b"]


def test_a_line_without_an_end_is_cut_at_its_bound(reader: Reader) -> None:
    reader.write("y" * LINE_BYTES)
    assert [len(line) for line in reader.lines()] == [LINE_BYTES]
