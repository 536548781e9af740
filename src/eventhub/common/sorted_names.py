"""The keys of a changing mapping in order, for lists that are read page by page."""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from typing import NamedTuple

from eventhub.common.channel_pattern import ChannelPattern

SCAN = 2000
"""Names that a page looks at. A page whose pattern fits few of them is short."""
STALE = 1000
"""Removed names that are kept, beyond as many as there are present ones."""


class NamePage(NamedTuple):
    """Names in order. `next` is the `after` of the next page, None at the end."""

    names: list[str]
    next: str | None


class SortedNames:
    """The names in `present`. Each new one must be added here; a removed one needs no call.

    Adding costs little: names are put in order when a page is read, or when most of them are gone.
    """

    __slots__ = ("_names", "_new", "_present")

    def __init__(self, present: Collection[str]) -> None:
        self._present = present
        self._names: list[str] = []
        self._new: set[str] = set()

    def add(self, name: str) -> None:
        """A name is present from now on. It may have been before."""
        self._new.add(name)
        if len(self._new) > 2 * len(self._present) + STALE:  # no page may ever be read
            self._settle()

    def page(self, pattern: ChannelPattern, after: str, limit: int) -> NamePage:
        """At most `limit` names after `after` that fit."""
        self._settle()
        found: list[str] = []
        reached = after
        for looked, name in enumerate(self._following(pattern.prefix, after)):
            if looked == SCAN or len(found) == limit:
                return NamePage(found, reached)
            reached = name
            if name in self._present and pattern.covers(name):
                found.append(name)
        return NamePage(found, None)

    def _following(self, prefix: str, after: str) -> Iterator[str]:
        names = self._names
        begin = bisect_right(names, after) if after >= prefix else bisect_left(names, prefix)
        for index in range(begin, len(names)):
            if not names[index].startswith(prefix):
                return
            yield names[index]

    def _settle(self) -> None:
        names, new = self._names, self._new
        if len(new) > len(names) // 50 or len(names) > 2 * len(self._present) + STALE:
            self._names = sorted(name for name in {*names, *new} if name in self._present)
        else:
            for name in new:
                place = bisect_left(names, name)
                if names[place : place + 1] != [name]:
                    names.insert(place, name)
        new.clear()
