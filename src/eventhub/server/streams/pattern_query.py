"""Streams of a pattern: what their query string asks for."""

from collections.abc import Callable, Sequence
from urllib.parse import parse_qsl, unquote

from eventhub.auth.principal import Principal
from eventhub.delivery.cursor_encoding import CURSOR_BLOCKS, CURSOR_LINES
from eventhub.errors import InvalidRequest
from eventhub.events.channel_types import ChannelTypes
from eventhub.hub.cursor_journals import CursorJournals
from eventhub.server.streams.pattern_outbox import PatternOutbox
from eventhub.server.streams.query import StreamParameters
from eventhub.server.streams.selection_begin import SelectionBegin, begin_of, selection_of
from eventhub.session.commands import Subscribe
from eventhub.session.session import Session
from eventhub.session.subscribing import authorize
from eventhub.session.subscriptions import is_pattern

FORMS = {"sse": CURSOR_BLOCKS, "ndjson": CURSOR_LINES}


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
            presence=parameters.presence,
            member=parameters.member_with_data(),
            where=parameters.where,
        )
        self._since = parameters.since
        self._resumed_from = None
        if last := last_event_id or parameters.last_event_id:
            self._resumed_from = last, "Last-Event-ID" if last_event_id else "lastEventId"
        self._begin: SelectionBegin

    async def read(
        self, types: ChannelTypes, principal: Principal, journals: CursorJournals
    ) -> None:
        """Find out where to begin, if the principal may subscribe. Raises EventHubError."""
        command = self._command
        authorize(types, principal, command.channel, command.member_id, presence=command.presence)
        selection = selection_of([command.channel])
        self._begin = await begin_of(selection, self._since, self._resumed_from, journals)

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
        cursor = begin.cursor(self._command.channel, journals)
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
