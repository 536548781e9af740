"""eventhub_client/cursors.py: positions in a file."""

from pathlib import Path

import pytest

from eventhub_client.cursors import FileCursor


def test_positions_outlive_the_object_and_replace_each_other(tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    assert FileCursor(path).load() == {}
    FileCursor(path).store("a.b", "k-1")
    cursor = FileCursor(path)
    cursor.store("c.d", "k-2")
    cursor.store("a.b", "k-3")
    assert FileCursor(path).load() == {"a.b": "k-3", "c.d": "k-2"}
    assert [each.name for each in tmp_path.iterdir()] == ["cursor.json"]


def test_a_write_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "cursor.json"
    FileCursor(path).store("a.b", "k-1")

    def full(self: Path, text: str, encoding: str) -> None:
        raise OSError("no space")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        FileCursor(path).store("a.b", "k-2")
    assert FileCursor(path).load() == {"a.b": "k-1"}


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"a.b":1}'])
def test_a_damaged_file_is_an_error_and_never_a_silent_begin(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "cursor.json"
    path.write_text(damage)
    with pytest.raises(ValueError, match="is not a cursor; expected JSON such as"):
        FileCursor(path).load()
