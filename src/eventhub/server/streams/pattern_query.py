"""Where a stream of a pattern begins: at a form of `since`, or at an earlier stream's cursor."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from eventhub.auth.principal import Principal
from eventhub.delivery.cursor_encoding import CURSOR_BLOCKS, CURSOR_LINES
from eventhub.delivery.pattern_cursor import (
    DEPTH,
    PatternCursor,
    UnreadableJournal,
    is_pattern_cursor,
    parse_pattern_cursor,
)
from eventhub.delivery.pattern_subscriber import Begins, PatternSince
from eventhub.errors import InvalidRequest, InvalidSince
from eventhub.events.channel_types import NAME_LENGTH, ChannelTypes, parse_pattern
from eventhub.events.event import Earliest, Position, Since
from eventhub.events.since import parse_cursor, parse_since
from eventhub.hub.cursor_journals import CursorJournals
from eventhub.server.streams.pattern_outbox import PatternOutbox
from eventhub.server.streams.query import StreamParameters
from eventhub.session.commands import Subscribe
from eventhub.session.session import Session
from eventhub.session.subscribing import authorize
from eventhub.session.subscriptions import is_pattern

FORMS = {"sse": CURSOR_BLOCKS, "ndjson": CURSOR_LINES}


class PatternBegin(NamedTuple):
    """Where a stream begins: for its subscription, and as the first cursor."""

    since: PatternSince
    base: str
    moved: Mapping[str, str]
    expired: bool = False
    """The client's cursor is no longer known: what it missed is not known either."""


class PatternQuery:
    """The query string of a stream of one pattern. `read` must be awaited before anything else.

    The parameters are those of `StreamQuery`. Raises EventHubError.
    """

    def __init__(
        self, query: bytes, channel: str | None = None, last_event_id: str | None = None
    ) -> None:
        parameters = StreamParameters(
            query, takes_channels=channel is None, is_event_source=last_event_id is not None
        )
        self.channels = [channel] if channel else parameters.channels
        self._command = Subscribe(
            type="subscribe",
            channel=_only_pattern(self.channels),
            member=parameters.member_with_data(),
            where=parameters.where,
        )
        self._since = parameters.since
        self._resumed_from = None
        if last := last_event_id or parameters.last_event_id:
            self._resumed_from = last, "Last-Event-ID" if last_event_id else "lastEventId"
        self._begin: PatternBegin

    async def read(
        self, types: ChannelTypes, principal: Principal, journals: CursorJournals
    ) -> None:
        """Find out where to begin, if the principal may subscribe. Raises EventHubError."""
        command = self._command
        authorize(types, principal, command.channel, command.member_id, presence=False)
        self._begin = await begin_of(command.channel, self._since, self._resumed_from, journals)

    def outbox(
        self,
        transport: str,
        journals: CursorJournals,
        bound: int,
        on_full: Callable[[], None],
        on_drained: Callable[[], None],
    ) -> PatternOutbox:
        """The outbox of the stream."""
        begin = self._begin
        cursor = PatternCursor(self._command.channel, journals, begin.base, begin.moved)
        outbox = PatternOutbox(FORMS[transport], cursor, journals, bound, on_full, on_drained)
        outbox.expired = begin.expired
        return outbox

    def subscribe(self, session: Session) -> None:
        """Subscribe to the pattern. Raises EventHubError."""
        session.subscribe(self._command, self._begin.since)


def names_pattern(query: bytes, channel: str | None) -> bool:
    """Whether a request is for a pattern."""
    if channel is not None:
        return is_pattern(channel)
    text = query.decode("ascii", "replace")
    if not is_pattern(unquote(text)):  # a quick look, for most requests
        return False
    return any(name == "channel" and is_pattern(value) for name, value in parse_qsl(text))


def _only_pattern(channels: Sequence[str]) -> str:
    if len(channels) != 1:
        raise InvalidRequest(
            f"the query string names {len(channels)} channels, of which one is a pattern; a stream "
            "has one pattern, or channels: open a stream for each pattern"
        )
    return channels[0]


async def begin_of(
    pattern: str, since: str, resumed_from: tuple[str, str] | None, journals: CursorJournals
) -> PatternBegin:
    """Where a stream begins. `resumed_from` is a last event id, and the name of its parameter.

    A cursor that has expired is an error in `since`. In a last event id it is not: an EventSource
    would never connect again. Raises InvalidSince, InvalidChannel, BrokerUnavailable.
    """
    if resumed_from is None:
        return await _begin(pattern, since, "since", journals)
    try:
        return await _resumed(pattern, *resumed_from, journals)
    except UnreadableJournal:
        begin = await _begin(pattern, since, "since", journals)
        return begin._replace(expired=True)


async def _begin(pattern: str, text: str, name: str, journals: CursorJournals) -> PatternBegin:
    try:
        return await _resumed(pattern, text, name, journals)
    except UnreadableJournal as error:
        raise InvalidSince(
            f"{name} is a cursor that cannot be resumed: {error}; a cursor of many channels is "
            "kept for an hour; begin with since=earliest or since=latest"
        ) from None


async def _resumed(pattern: str, text: str, name: str, journals: CursorJournals) -> PatternBegin:
    if is_pattern_cursor(text):
        return await _of_cursor(pattern, text, name, journals)
    if "@" in text:
        positions = {channel: str(since) for channel, since in parse_cursor(text, name).items()}
        return _of_positions(pattern, name, positions)
    since = parse_since(text, name)
    if isinstance(since, Position):
        raise InvalidSince(
            f"{name} is {text!r}, which is an id of one channel; expected the cursor of a stream "
            f"of {pattern!r}, or a form of since that is good for every channel"
        )
    return PatternBegin(since, "" if isinstance(since, Earliest) else text, {})


async def _of_cursor(pattern: str, text: str, name: str, journals: CursorJournals) -> PatternBegin:
    base, positions, depth = await journals.resolve(text, name, pattern)
    begin = _of_positions(pattern, name, positions, base)
    if depth >= DEPTH:
        return begin
    parsed = parse_pattern_cursor(text, name)
    return begin._replace(base=parsed.base, moved=parsed.moved)


def _of_positions(
    pattern: str, name: str, positions: Mapping[str, str], base: str = ""
) -> PatternBegin:
    fits = parse_pattern(pattern).covers
    for channel in positions:
        if not fits(channel) or is_pattern(channel):
            raise InvalidSince(
                f"{name} names channel {channel[:NAME_LENGTH]!r}, which does not fit {pattern!r}"
            )
    begins = {
        channel: _position(text, f"{name} of {channel!r}") for channel, text in positions.items()
    }
    otherwise = parse_since(base, name) if base else Earliest()
    if isinstance(otherwise, Position):
        raise InvalidSince(
            f"{name} begins with {base!r}; expected the cursor as the server sent it"
        )
    return PatternBegin(Begins(begins, otherwise), base, positions)


def _position(text: str, name: str) -> Since:
    if not isinstance(since := parse_since(text, name), Position):
        raise InvalidSince(f"{name} is {text[:80]!r}; expected an event id such as 'k3x9-41'")
    return since
