"""Writes the same bytes to many connections: in C where `_native.c` was built, else in Python.

`write_all(writes, data)` calls every write with the bytes, even if one raises, and returns the
failures. `Pipe` is the native writer of a connection, None without the C module.
"""

from collections.abc import Callable
from typing import Protocol

Write = Callable[[bytes], None]


class ClosableWriter(Protocol):
    """A write that can be closed before its descriptor is."""

    def __call__(self, data: bytes, /) -> None:
        """Queue whole messages. Never blocks, never raises."""
        ...

    def close(self) -> None:
        """Drop everything that is written from now on."""
        ...


Failure = tuple[Write, Exception]
"""A write that raised, and its exception."""


def write_all_plainly(writes: list[Write], data: bytes) -> list[Failure]:
    """Call every write with the bytes. Returns the writes that raised."""
    failures: list[Failure] = []
    for write in writes:
        try:
            write(data)
        except Exception as error:  # the other connections still get the bytes
            failures.append((write, error))
    return failures


class PlainPipe:
    """The same over any transport: without the C module, and under TLS."""

    __slots__ = ("_write",)

    def __init__(self, write: Write) -> None:
        self._write = write

    def __call__(self, data: bytes) -> None:
        self._write(data)

    def close(self) -> None:
        """Drop everything that is written from now on."""
        self._write = _drop


def _drop(_: bytes) -> None:
    """The write of a closed connection whose subscriptions have not ended yet."""


WriteAll = Callable[[list[Write], bytes], list[Failure]]

Pipe: Callable[[object, int], ClosableWriter] | None
write_all: WriteAll
try:
    from eventhub import _native
except ImportError:  # built without a compiler
    Pipe, write_all = None, write_all_plainly
else:
    Pipe, write_all = _native.Pipe, _native.write_all
