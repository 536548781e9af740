"""Writes the same bytes to many connections: in C where `_native.c` was built, else in Python.

`write_all(writes, data, begin, end)` calls every write of a part of the list with the bytes, even
if one raises, and returns the failures. `Pipe` is the native writer of a connection, None without
the C module.
"""

import sys
from collections.abc import Callable
from typing import Protocol

HELD_BYTES = 16 * 1024
"""A pipe holds no more: beyond that, its transport says when its buffer is full."""

Write = Callable[[bytes], None]


class ClosableWriter(Protocol):
    """A write that can be closed before its descriptor is."""

    def __call__(self, data: bytes, /) -> None:
        """Queue whole messages. Never blocks, never raises."""
        ...

    def close(self) -> None:
        """Drop everything that is held, and that is written from now on."""
        ...

    def hold(self) -> None:
        """Keep what is written until `release`. More than HELD_BYTES are written at once."""
        ...

    def release(self) -> None:
        """Write what was held, as one piece."""
        ...


Failure = tuple[Write, Exception]
"""A write that raised, and its exception."""


def write_all_plainly(
    writes: list[Write], data: bytes, begin: int = 0, end: int = sys.maxsize
) -> list[Failure]:
    """Call every write from `begin` to before `end` with the bytes. Returns those that raised."""
    failures: list[Failure] = []
    for write in writes[begin:end]:
        try:
            write(data)
        except Exception as error:  # the other connections still get the bytes
            failures.append((write, error))
    return failures


class PlainPipe:
    """The same over any transport: without the C module, and under TLS."""

    __slots__ = ("_held", "_write")

    def __init__(self, write: Write) -> None:
        self._write = write
        self._held: bytes | None = None

    def __call__(self, data: bytes) -> None:
        if self._held is None:
            self._write(data)
            return
        self._held += data
        if len(self._held) > HELD_BYTES:
            self.release()

    def close(self) -> None:
        """Drop everything that is held, and that is written from now on."""
        self._write, self._held = _drop, None

    def hold(self) -> None:
        """Keep what is written until `release`. More than HELD_BYTES are written at once."""
        if self._held is None:
            self._held = b""

    def release(self) -> None:
        """Write what was held, as one piece."""
        held, self._held = self._held, None
        if held:
            self._write(held)


def _drop(_: bytes) -> None:
    """The write of a closed connection whose subscriptions have not ended yet."""


class WriteAll(Protocol):
    """The type of `write_all`."""

    def __call__(
        self, writes: list[Write], data: bytes, begin: int = 0, end: int = sys.maxsize, /
    ) -> list[Failure]:
        """Call every write from `begin` to before `end`. Returns those that raised."""
        ...


Pipe: Callable[[object, int], ClosableWriter] | None
write_all: WriteAll
try:
    from eventhub import _native

    if "begin" not in (_native.write_all.__doc__ or ""):
        raise ImportError("it was built from an older source")
except ImportError:  # built without a compiler
    Pipe, write_all = None, write_all_plainly
else:
    Pipe, write_all = _native.Pipe, _native.write_all
