"""Writing the same bytes to many connections. The native way where it was built, the same in Python otherwise.

`write_all(writes, data)` calls each of a list with the bytes, whatever one of them raises, and
gives those that raised. `Pipe` is the native way out of a connection (`_native.c`), None without.
"""

from collections.abc import Callable
from typing import Protocol

Write = Callable[[bytes], None]


class ClosableWriter(Protocol):
    """A way out whose descriptor is about to be given up."""

    def __call__(self, data: bytes, /) -> None:
        """Queue whole messages. Never blocks, never raises."""
        ...

    def close(self) -> None:
        """Take nothing any more."""
        ...


Failure = tuple[Write, Exception]
"""One of the list that raised, and what."""


def write_all_plainly(writes: list[Write], data: bytes) -> list[Failure]:
    """Call each of a list with the bytes; those that raised."""
    failures: list[Failure] = []
    for write in writes:
        try:
            write(data)
        except Exception as error:  # the others get theirs
            failures.append((write, error))
    return failures


class PlainPipe:
    """The same over any transport: where the native one was not built, and under TLS."""

    __slots__ = ("_write",)

    def __init__(self, write: Write) -> None:
        self._write = write

    def __call__(self, data: bytes) -> None:
        self._write(data)

    def close(self) -> None:
        """Take nothing any more."""
        self._write = _drop


def _drop(_: bytes) -> None:
    """Of a connection that has ended, whose subscriptions have not yet."""


WriteAll = Callable[[list[Write], bytes], list[Failure]]

Pipe: Callable[[object, int], ClosableWriter] | None
write_all: WriteAll
try:
    from eventhub import _native
except ImportError:  # built without a compiler
    Pipe, write_all = None, write_all_plainly
else:
    Pipe, write_all = _native.Pipe, _native.write_all
