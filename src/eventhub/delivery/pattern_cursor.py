"""Cursors of patterns: where a reader stands in every channel, in a text of bounded size. No I/O.

A cursor is `*base,channel@position,…`: the base says where the reader stands in all channels, and
the positions are of channels that have moved on since. The base is one of these:

    (nothing)  before the first event of every channel: those not named were born later
    `-20`      where this form of `since` says; the other channels have not begun yet
    `j3k9x.7`  as record 7 of journal j3k9x says, and so do the records before it

While all positions fit into CURSOR_BYTES, there is no journal: the cursor has all of them. When
they do not, they go into a record, and the record becomes the base. Records are numbered here and
stored later: what is written with a base must not be sent before its record is stored
(`Journals.add` promises to tell). So a cursor that a client has got can be resumed on every node,
and also after the node that gave it was killed.

A journal begins with a complete record, which may be large and then has several parts. When the
records after it are several times as large, another journal begins. So a cursor is read in one go.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from eventhub.errors import InvalidSince

CURSOR_BYTES = 1024
"""A cursor with more positions than fit here becomes a record."""
PART_BYTES = 64 * 1024
"""A record with more positions is divided."""
REWRITE = 4
"""A journal ends when the records after its beginning are so many times as large."""
DEPTH = 16
"""Journals that may begin with the end of another one, one after the other."""

_RECORD = re.compile(r"([0-9a-f]{12})\.([1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True, slots=True)
class RecordName:
    """A record of a journal. Numbers begin with 1."""

    journal: str
    number: int

    def __str__(self) -> str:
        return f"{self.journal}.{self.number}"

    @classmethod
    def parse(cls, text: str) -> "RecordName | None":
        """None for a text that names no record."""
        return None if (found := _RECORD.fullmatch(text)) is None else cls(found[1], int(found[2]))


@dataclass(frozen=True, slots=True)
class ParsedCursor:
    """A cursor's text, taken apart. Positions are checked where they are used."""

    base: str
    moved: Mapping[str, str]

    @property
    def record(self) -> RecordName | None:
        """The record that is its base, if there is one."""
        return RecordName.parse(self.base)


class Journals(Protocol):
    """Where records are kept. Both calls return at once."""

    def new(self) -> str:
        """The name of a journal that nobody else uses: twelve hexadecimal digits."""
        ...

    def add(self, name: RecordName, record: bytes) -> None:
        """Store a record soon, after all that were added before."""
        ...


class PatternCursor:
    """The cursor of one reader, or of several that stand at the same positions.

    `base` and `moved` are as in its text. `pattern` is written into journals: a cursor is good for
    no other pattern.
    """

    __slots__ = ("_after", "_base", "_complete", "_journals", "_moved", "_origin", "_record",
                 "_size", "_vector", "pattern")  # fmt: skip

    def __init__(
        self, pattern: str, journals: Journals, base: str = "", moved: Mapping[str, str] = {}
    ) -> None:
        self.pattern = pattern
        self._journals = journals
        self._origin = self._base = base
        self._vector: dict[str, str] = {}
        """All positions since `_origin`."""
        self._moved: dict[str, str] = {}
        self._size = 0
        self._record: RecordName | None = None
        self._complete = self._after = 0
        """Bytes of the journal's complete record, and of those after it."""
        self.move_all(moved.items())

    def __str__(self) -> str:
        moved = [f"{channel}@{position}" for channel, position in self._moved.items()]
        return ",".join([f"*{self._base}", *moved])

    @property
    def in_journal(self) -> bool:
        """Whether it needs a record, which expires."""
        return self._record is not None

    @property
    def said(self) -> ParsedCursor:
        """What its text says."""
        return ParsedCursor(self._base, self._moved)

    def beginning(self) -> "PatternCursor":
        """A cursor at the beginning of all channels of the same pattern."""
        return PatternCursor(self.pattern, self._journals)

    def copy(self) -> "PatternCursor":
        """A cursor at the same positions, which goes on by itself."""
        return PatternCursor(self.pattern, self._journals, self._base, self._moved)

    def completed(self, known: Mapping[str, str]) -> "PatternCursor":
        """A cursor of a reader that has begun in all channels: those not named were born later.

        `known`: the positions that its base says.
        """
        whole = self.beginning()
        whole.move_all({**known, **self._vector}.items())
        return whole

    def move(self, channel: str, position: str) -> None:
        """The reader stands at this position of a channel."""
        self._put(channel, position)
        if self._size > CURSOR_BYTES:
            self._write_record()

    def move_all(self, positions: Iterable[tuple[str, str]]) -> None:
        """The reader stands at all of these positions. Only those that are new cost something."""
        vector = self._vector
        for channel, position in positions:
            if vector.get(channel) != position:
                self._put(channel, position)
        if self._size > CURSOR_BYTES:
            self._write_record()

    def end_with(self, channel: str, position: str) -> None:
        """The reader stands here. Name this channel last: a page of history goes on after it."""
        self.move(channel, position)
        if (before := self._moved.pop(channel, None)) is not None:
            self._size -= len(channel) + len(before) + 2
        self._put(channel, position)

    def begin_journal(self) -> None:
        """Begin another journal with all that is known, because the present one gets old."""
        journal = self._journals.new()
        self._record = None
        self._complete = self._after = 0
        for number, part in enumerate(_parts(self._vector), 1):
            fields: dict[str, Any] = {"at": part}
            if number == 1:
                fields |= {"pattern": self.pattern, "base": self._origin}
            self._complete += self._add(RecordName(journal, number), fields)
        self._forget_moved()

    def _put(self, channel: str, position: str) -> None:
        if (before := self._moved.get(channel)) is None:
            self._size += len(channel) + len(position) + 2
        else:
            self._size += len(position) - len(before)
        self._moved[channel] = self._vector[channel] = position

    def _write_record(self) -> None:
        grown = self._after > REWRITE * self._complete + PART_BYTES
        if self._record is None or grown or self._size > PART_BYTES:
            self.begin_journal()
            return
        record = RecordName(self._record.journal, self._record.number + 1)
        self._after += self._add(record, {"at": self._moved})
        self._forget_moved()

    def _add(self, record: RecordName, fields: Mapping[str, Any]) -> int:
        data = orjson.dumps({"number": record.number, **fields})
        self._journals.add(record, data)
        self._record = record
        return len(data)

    def _forget_moved(self) -> None:
        self._base, self._moved, self._size = str(self._record), {}, 0


def is_pattern_cursor(text: str) -> bool:
    """Whether a text is meant as a cursor of a pattern."""
    return text.startswith("*")


def parse_pattern_cursor(text: str, name: str) -> ParsedCursor:
    """Raises InvalidSince, which names the parameter `name`."""
    base, *parts = text[1:].split(",")
    moved = {}
    for part in parts:
        channel, separator, position = part.partition("@")
        if not separator or not channel:
            raise InvalidSince(
                f"{name} is a cursor of a pattern, but {part[:80]!r} in it is not of the form "
                "channel@id; expected the cursor as the server sent it"
            )
        if channel in moved:
            raise InvalidSince(
                f"{name} is a cursor of a pattern that names {channel[:80]!r} more than once; "
                "expected the cursor as the server sent it"
            )
        moved[channel] = position
    return ParsedCursor(base, moved)


class UnreadableJournal(Exception):
    """A journal's records are not those that a cursor of this pattern begins with."""


def read_journal(records: Iterable[bytes], last: int, pattern: str) -> ParsedCursor:
    """What the records of a journal up to number `last` say together, in whichever order they are.

    Raises UnreadableJournal when one is missing, or when they are of another pattern.
    """
    at: dict[str, str] = {}
    try:
        found = {(fields := orjson.loads(record))["number"]: fields for record in records}
        if missing := set(range(1, last + 1)) - found.keys():
            raise UnreadableJournal(f"record {min(missing)} of its journal is not known")
        for number in range(1, last + 1):
            at.update(found[number]["at"])
        base, written_for = str(found[1]["base"]), found[1]["pattern"]
    except (ValueError, LookupError, TypeError) as error:
        raise UnreadableJournal(
            f"a record of its journal cannot be read: {type(error).__name__}"
        ) from None
    if written_for != pattern:
        raise UnreadableJournal(f"it is of the pattern {written_for!r}; expected {pattern!r}")
    return ParsedCursor(base, at)


def _parts(vector: Mapping[str, str]) -> list[dict[str, str]]:
    """The vector, divided. At least one part."""
    parts: list[dict[str, str]] = [{}]
    size = 0
    for channel, position in vector.items():
        if size > PART_BYTES:
            parts.append({})
            size = 0
        parts[-1][channel] = position
        size += len(channel) + len(position) + 6
    return parts
