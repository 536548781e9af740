"""Reads a fuzzer's bytes as choices. Missing bytes are zero, so every input means something."""

from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import TypeVar

T = TypeVar("T")


class Source:
    """Reads choices first; `rest` is what is left."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._data)

    def byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1] if self._at <= len(self._data) else 0

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.byte() % len(choices)]

    def take(self, count: int) -> bytes:
        self._at += count
        return self._data[self._at - count : self._at]

    def text(self, count: int) -> str:
        """Any text without surrogates, which no decoder accepts."""
        return self.take(count).decode(errors="replace")

    def rest(self) -> bytes:
        return self.take(len(self._data))


def cut(data: bytes, places: bytes) -> Iterator[bytes]:
    """The same bytes in pieces of the lengths that `places` repeats."""
    at = 0
    for place in cycle(places or b"\xff"):
        yield data[at : at + place % 67 + 1]
        at += place % 67 + 1
        if at >= len(data):
            return
