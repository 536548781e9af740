"""Connections that follow several channels get one write in a tick, not one for each channel."""

from collections.abc import Iterable, ValuesView
from typing import Protocol, TypeGuard

from eventhub.delivery.bulk_write import ClosableWriter, Write
from eventhub.delivery.fanout import Fanout

MOST_WRITERS = 250
"""Larger audiences are not searched for connections that follow other channels, too."""


class HasFanout(Protocol):
    """A feed, or the audience of a pattern."""

    @property
    def live(self) -> Fanout:
        """What writes to its live subscribers."""
        ...


class SharedWriters:
    """The writers that several of the sources of one tick have. They hold what they are given.

    A writer holds a bounded number of bytes, and writes more at once (`HELD_BYTES`).
    """

    __slots__ = ("_held", "_sources")

    def __init__(self, sources: Iterable[HasFanout], room: int) -> None:
        """`room`: so many writes are made in this tick. Those of later sources are not held."""
        self._sources: list[HasFanout] = []
        audiences: list[ValuesView[Write]] = []
        count = 0
        for source in sources:
            if (size := len(source.live)) <= MOST_WRITERS:
                self._sources.append(source)
                audiences += source.live.writes
                count += size
                if count >= room:
                    break
        self._held = [] if len(set().union(*audiences)) == count else _shared(audiences)
        for writer in self._held:
            writer.hold()

    def release(self) -> None:
        """Write what was held. An error ends the connection that it concerns, and no other."""
        for writer in self._held:
            try:
                writer.release()
            except Exception as error:
                for source in self._sources:
                    source.live.report([(writer, error)])


def _shared(audiences: list[ValuesView[Write]]) -> list[ClosableWriter]:
    """Those that are in several audiences, and can hold."""
    seen, shared = set[Write](), set[Write]()
    for writes in audiences:
        shared |= seen.intersection(writes)
        seen.update(writes)
    return [write for write in shared if _can_hold(write)]


def _can_hold(write: Write) -> TypeGuard[ClosableWriter]:
    return hasattr(write, "release")
