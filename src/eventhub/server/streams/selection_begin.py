"""Where a reader of a selection begins: at a form of `since`, or at an earlier reader's cursor."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from eventhub.common.channel_selection import ChannelSelection
from eventhub.delivery.pattern_cursor import (
    DEPTH,
    PatternCursor,
    UnreadableJournal,
    is_pattern_cursor,
    parse_pattern_cursor,
)
from eventhub.delivery.pattern_subscriber import Begins, PatternSince
from eventhub.errors import AlreadySubscribed, InvalidRequest, InvalidSince, TooManySubscriptions
from eventhub.events.channel_names import NAME_LENGTH, parse_pattern
from eventhub.events.event import Earliest, Since, asked_position
from eventhub.events.since import parse_cursor, parse_since
from eventhub.hub.cursor_journals import CursorJournals
from eventhub.session.subscriptions import is_pattern

STREAM_CHANNELS = 32
"""Channels and patterns of one stream or page."""


class SelectionBegin(NamedTuple):
    """Where a reader begins: in each channel, and as the first cursor."""

    since: PatternSince
    base: str
    moved: Mapping[str, str]
    expired: bool = False
    """The client's cursor is no longer known: what it missed is not known either."""

    def of(self, part: str) -> PatternSince:
        """Where a pattern or channel of the selection begins."""
        if not isinstance(self.since, Mapping):
            return self.since
        otherwise = self.since.otherwise if isinstance(self.since, Begins) else None
        if not is_pattern(part):
            return self.since.get(part, otherwise or Earliest())
        covers = parse_pattern(part).covers
        named = {name: since for name, since in self.since.items() if covers(name)}
        return Begins(named, otherwise)

    def cursor(self, selection: str, journals: CursorJournals) -> PatternCursor:
        """The first cursor. `selection` is the selection's text."""
        return PatternCursor(selection, journals, self.base, self.moved)


def check_parts(texts: Sequence[str]) -> None:
    """Raises InvalidRequest, TooManySubscriptions for a wrong number of channels."""
    if not texts:
        raise InvalidRequest("no channel is named; expected ?channel=… once or more")
    if len(texts) > STREAM_CHANNELS:
        raise TooManySubscriptions(
            f"the query string names {len(texts)} channels; it may name at most {STREAM_CHANNELS}"
        )


def selection_of(texts: Sequence[str]) -> ChannelSelection:
    """Raises InvalidChannel, AlreadySubscribed if two of them have channels in common."""
    selection = ChannelSelection(map(parse_pattern, texts))
    if (both := selection.overlap()) is not None:
        raise AlreadySubscribed(
            f"the query string names {both[0]!r} and {both[1]!r}, which have channels in common; "
            "expected each channel once"
        )
    return selection


async def begin_of(
    selection: ChannelSelection,
    since: str,
    resumed_from: tuple[str, str] | None,
    journals: CursorJournals,
) -> SelectionBegin:
    """Where a stream begins. `resumed_from` is a last event id, and the name of its parameter.

    A cursor that has expired is an error in `since`. In a last event id it is not: an EventSource
    would never connect again. Raises InvalidSince, InvalidChannel, BrokerUnavailable.
    """
    if resumed_from is None:
        return await _begin(selection, since, "since", journals)
    try:
        return await _resumed(selection, *resumed_from, journals)
    except UnreadableJournal:
        begin = await _begin(selection, since, "since", journals)
        return begin._replace(expired=True)


async def _begin(
    selection: ChannelSelection, text: str, name: str, journals: CursorJournals
) -> SelectionBegin:
    try:
        return await _resumed(selection, text, name, journals)
    except UnreadableJournal as error:
        raise InvalidSince(
            f"{name} is a cursor that cannot be resumed: {error}; a cursor of many channels is "
            "kept for an hour; begin with since=earliest or since=latest"
        ) from None


async def _resumed(
    selection: ChannelSelection, text: str, name: str, journals: CursorJournals
) -> SelectionBegin:
    if is_pattern_cursor(text):
        return await _of_cursor(selection, text, name, journals)
    if "@" in text:
        positions = {channel: str(since) for channel, since in parse_cursor(text, name).items()}
        return _of_positions(selection, name, positions)
    since = parse_since(text, name)
    if asked_position(since) is not None:
        raise InvalidSince(
            f"{name} is {text!r}, which is an id of one channel; expected the cursor of a stream "
            f"of {selection.text!r}, or a form of since that is good for every channel"
        )
    return SelectionBegin(since, text, {})


async def _of_cursor(
    selection: ChannelSelection, text: str, name: str, journals: CursorJournals
) -> SelectionBegin:
    base, positions, depth = await journals.resolve(text, name, selection.text)
    begin = _of_positions(selection, name, positions, base)
    if depth >= DEPTH:
        return begin
    parsed = parse_pattern_cursor(text, name)
    return begin._replace(base=parsed.base, moved=parsed.moved)


def _of_positions(
    selection: ChannelSelection, name: str, positions: Mapping[str, str], base: str = ""
) -> SelectionBegin:
    for channel in positions:
        if not selection.covers(channel) or is_pattern(channel):
            raise InvalidSince(
                f"{name} names channel {channel[:NAME_LENGTH]!r}, which does not fit "
                f"{selection.text!r}"
            )
    begins = {
        channel: _position(text, f"{name} of {channel!r}") for channel, text in positions.items()
    }
    otherwise = parse_since(base, name) if base else None
    if otherwise is not None and asked_position(otherwise) is not None:
        raise InvalidSince(
            f"{name} begins with {base!r}; expected the cursor as the server sent it"
        )
    return SelectionBegin(Begins(begins, otherwise), base, positions)


def _position(text: str, name: str) -> Since:
    if asked_position(since := parse_since(text, name)) is None:
        raise InvalidSince(f"{name} is {text[:80]!r}; expected an event id such as 'k3x9-41'")
    return since
