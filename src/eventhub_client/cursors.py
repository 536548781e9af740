"""Where a follower stands in each channel, kept over restarts."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

COMPACT_LINES = 1000
"""A cursor file is rewritten when it has this many lines more than channels."""


class Cursor(Protocol):
    """Keeps the position of each channel. One follower at a time uses it.

    A pattern is kept like a channel: its position is a word that is not interpreted.
    """

    def load(self) -> dict[str, str]:
        """The stored position of each channel."""
        ...

    def store(self, positions: Mapping[str, str]) -> None:
        """Replace the positions of these channels, completely or not at all."""
        ...


class FileCursor:
    """Positions in a file of JSON lines. The last line that names a channel counts.

    It outlives kill -9. It is not forced to the disk each time: after a power cut it may be older,
    and then some events come a second time.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._positions: dict[str, str] | None = None
        self._lines = 0

    def load(self) -> dict[str, str]:
        self._positions, self._lines = {}, 0
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        whole = text.rpartition("\n")[0]
        try:
            for line in whole.split("\n"):
                self._positions.update(_positions(line))
        except ValueError:
            raise ValueError(
                f'{self._path} is not a cursor; expected lines such as {{"orders.eu":"k3x9-41"}}. '
                "Without the file, following begins at `since`"
            ) from None
        complete = len(whole) + 1 == len(text)
        self._lines = whole.count("\n") + 1 if complete else _MANY  # write it anew
        return dict(self._positions)

    def store(self, positions: Mapping[str, str]) -> None:
        if self._positions is None:
            self.load()
        assert self._positions is not None
        known = self._positions = {**self._positions, **positions}
        if 0 < self._lines < len(known) + COMPACT_LINES:
            self._append(positions)
        else:
            self._replace(known)

    def _append(self, positions: Mapping[str, str]) -> None:
        line = json.dumps(positions).encode() + b"\n"
        file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        lines, self._lines = self._lines, _MANY  # until all of it is written
        try:
            if os.write(file, line) == len(line):
                self._lines = lines + 1
        finally:
            os.close(file)
        if self._lines is _MANY:
            self._replace(self._positions or {})

    def _replace(self, positions: Mapping[str, str]) -> None:
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}.next")
        draft.write_text(json.dumps(positions) + "\n", encoding="utf-8")
        draft.replace(self._path)
        self._lines = 1


_MANY = 1 << 62


def _positions(line: str) -> dict[str, str]:
    found = json.loads(line)
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise ValueError(line)
    return found
