"""Streams of patterns: what their query string asks for."""

from collections.abc import Callable
from urllib.parse import parse_qsl, unquote

from eventhub.auth.principal import Principal
from eventhub.delivery.cursor_encoding import CursorForm
from eventhub.events.channel_types import ChannelTypes
from eventhub.hub.cursor_journals import CursorJournals
from eventhub.server.streams.pattern_outbox import PatternOutbox, PlacedOutbox
from eventhub.server.streams.query import StreamParameters
from eventhub.server.streams.selection_begin import (
    SelectionBegin,
    begin_of,
    check_parts,
    selection_of,
)
from eventhub.server.streams.selection_outbox import SelectionOutbox
from eventhub.session.commands import Subscribe
from eventhub.session.session import Session
from eventhub.session.subscribing import authorize
from eventhub.session.subscriptions import is_pattern


class PatternQuery:
    """The query string of a stream of patterns, perhaps with channels besides.

    `read` must be awaited before anything else. The parameters are those of `StreamQuery`. Raises
    EventHubError.
    """

    def __init__(
        self, query: bytes, channel: str | None = None, last_event_id: str | None = None
    ) -> None:
        parameters = StreamParameters(
            query, takes_channels=channel is None, is_event_source=last_event_id is not None
        )
        self.channels = [channel] if channel else parameters.channels
        check_parts(self.channels)
        member = parameters.member_with_data()
        self._commands = [
            Subscribe(
                type="subscribe",
                channel=name,
                presence=parameters.presence,
                member=member,
                where=parameters.where,
            )
            for name in self.channels
        ]
        self._since = parameters.since
        self._resumed_from = None
        if last := last_event_id or parameters.last_event_id:
            self._resumed_from = last, "Last-Event-ID" if last_event_id else "lastEventId"
        self._begin: SelectionBegin

    async def read(
        self, types: ChannelTypes, principal: Principal, journals: CursorJournals
    ) -> None:
        """Find out where to begin, if the principal may subscribe. Raises EventHubError."""
        for command in self._commands:
            authorize(
                types, principal, command.channel, command.member_id, presence=command.presence
            )
        self._selection = selection_of(self.channels)
        self._begin = await begin_of(self._selection, self._since, self._resumed_from, journals)

    def outbox(
        self,
        form: CursorForm,
        journals: CursorJournals,
        bound: int,
        on_full: Callable[[], None],
        on_drained: Callable[[], None],
    ) -> PlacedOutbox:
        """The outbox of the stream."""
        begin = self._begin
        cursor = begin.cursor(self._selection.text, journals)
        outbox: PlacedOutbox
        if len(self.channels) == 1:
            outbox = PatternOutbox(form, cursor, journals, bound, on_full, on_drained)
        else:
            outbox = several = SelectionOutbox(form, cursor, journals, bound, on_full, on_drained)
            several.begin(self.channels, begin.since)
        outbox.expired = begin.expired
        return outbox

    def subscribe(self, session: Session) -> None:
        """Subscribe to the patterns and channels. Raises EventHubError."""
        for command in self._commands:
            session.subscribe(command, self._begin.of(command.channel))


def names_pattern(query: bytes, channel: str | None) -> bool:
    """Whether a request is for a pattern."""
    if channel is not None:
        return is_pattern(channel)
    text = query.decode("ascii", "replace")
    if not is_pattern(unquote(text)):  # a quick look, for most requests
        return False
    return any(name == "channel" and is_pattern(value) for name, value in parse_qsl(text))
