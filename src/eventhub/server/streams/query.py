"""The subscriptions that the query string of a stream or a WebSocket asks for. No I/O."""

from functools import lru_cache
from urllib.parse import parse_qsl

from eventhub.common.strict_json import parse
from eventhub.delivery.subscriber import Watching
from eventhub.errors import InvalidJson, InvalidRequest, InvalidSince
from eventhub.events.channel_names import NAME_LENGTH
from eventhub.events.event import LATEST, Position, Since
from eventhub.events.since import parse_cursor, parse_since
from eventhub.presence.roster import MEMBER_LENGTH
from eventhub.server.messages.request_head import check_query
from eventhub.session.commands import Member, Subscribe, json_kind
from eventhub.session.session import Session

CACHE_BUSTERS = ("_", "r")
"""Parameters with a random number, which are ignored. Polyfills of EventSource add them: old
versions of Yaffle's, and polyfills that use jQuery.
"""
KNOWN = "since, member, member_data, where, presence"
"""Parameters of every stream."""

REMEMBERED, REMEMBERED_BYTES = 256, 256
"""Query strings of WebSockets that are remembered, and the longest of them."""


class StreamQuery:
    """`channel` (repeated), `since`, `member`, `member_data` and `where`. Raises EventHubError.

    `channel`: the channel in the path, if there is one. `last_event_id`: the header of an
    EventSource, "" if it sent none; None for other clients. Polyfills that cannot set the header
    for another origin put the id into the query string. The header wins: the query string may stay
    the same when the client reconnects.
    """

    def __init__(
        self, query: bytes, channel: str | None = None, last_event_id: str | None = None
    ) -> None:
        parameters = StreamParameters(
            query, takes_channels=channel is None, is_event_source=last_event_id is not None
        )
        self.channels = [channel] if channel else parameters.channels
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
        self._sinces, self._otherwise = _parse_since(parameters.since, "since")
        if resumed_from := last_event_id or parameters.last_event_id:
            name = "Last-Event-ID" if last_event_id else "lastEventId"
            self._resume(resumed_from, name)
        elif unknown := self._sinces.keys() - set(self.channels):
            raise InvalidSince(
                f"since names channel {min(unknown)[:NAME_LENGTH]!r}, which is not among the"
                " channels of the query string"
            )

    def _resume(self, last_event_id: str, name: str) -> None:
        """Begin where the last stream ended.

        It may have ended before each of its channels had begun. A channel that its cursor does not
        name begins where `since` says.
        """
        sinces, otherwise = _parse_since(last_event_id, name)
        if sinces:
            self._sinces |= sinces
        else:
            self._sinces, self._otherwise = {}, otherwise

    def subscribe(self, session: Session) -> None:
        """Subscribe to all channels. Raises EventHubError."""
        for command in self._commands:
            session.subscribe(command, self._since_of(command.channel))

    def positions(self) -> dict[str, str]:
        """The positions after which channels begin, where the query string gives one."""
        begins = {channel: self._since_of(channel) for channel in self.channels}
        return {
            channel: str(since) for channel, since in begins.items() if isinstance(since, Position)
        }

    def _since_of(self, channel: str) -> Since:
        return self._sinces.get(channel, self._otherwise)


def websocket_query(query: bytes) -> StreamQuery:
    """The query of a WebSocket. Raises EventHubError.

    The clients of a page send the same query string, so short ones are parsed once.
    """
    return _remembered_query(query) if len(query) <= REMEMBERED_BYTES else StreamQuery(query)


@lru_cache(maxsize=REMEMBERED)
def _remembered_query(query: bytes) -> StreamQuery:
    return StreamQuery(query)


def _parse_since(text: str, name: str) -> tuple[dict[str, Since], Since]:
    """Return where the channels of a cursor begin, and where all others begin."""
    if "@" in text:
        return parse_cursor(text, name), LATEST
    return {}, parse_since(text, name)


class StreamParameters:
    """The parameters of a query string. Raises InvalidRequest for an unknown or repeated one."""

    def __init__(self, query: bytes, *, takes_channels: bool, is_event_source: bool) -> None:
        self.channels: list[str] = []
        self.since = "latest"
        self.member: str | None = None
        self.member_data: str | None = None
        self.where: str | None = None
        self.presence: Watching = False
        self.last_event_id = ""
        seen: set[str] = set()
        for name, value in _fields(query):
            match name:
                case "channel" if takes_channels:
                    self.channels.append(value)
                case "since" if name not in seen:
                    self.since = value
                case "member" if name not in seen:
                    self.member = value
                case "member_data" if name not in seen:
                    self.member_data = value
                case "where" if name not in seen:
                    self.where = value
                case "presence" if name not in seen:
                    self.presence = _presence(value)
                case "since" | "member" | "member_data" | "where" | "presence":
                    several = ", which is a cursor if the channels have different positions"
                    raise InvalidRequest(
                        f"{name} is given more than once; expected one"
                        f"{several if name == 'since' else ''}"
                    )
                case _ if is_event_source and _is_last_event_id(name):
                    # A library may add its own `lastEventId` to one in the query string: the last
                    # one wins.
                    self.last_event_id = value or self.last_event_id
                case _ if is_event_source and name in CACHE_BUSTERS:
                    pass
                case _:
                    known = "channel, " * takes_channels + KNOWN
                    raise InvalidRequest(f"unknown query parameter {name[:40]!r}; expected {known}")
            seen.add(name)
        if self.member is not None and not 1 <= len(self.member) <= MEMBER_LENGTH:
            raise InvalidRequest(
                f"member has {len(self.member)} characters; expected 1 to {MEMBER_LENGTH}"
            )

    def member_with_data(self) -> str | Member | None:
        """The member of each subscription. Raises EventHubError."""
        if self.member_data is None:
            return self.member
        if self.member is None:
            raise InvalidRequest("member_data is given without member; expected both")
        try:
            data = parse(self.member_data.encode())
        except InvalidJson as error:
            raise InvalidJson(f"member_data is not JSON: {error}") from None
        if not isinstance(data, dict):
            raise InvalidRequest(
                f"member_data is a JSON {json_kind(data)}; expected an object, percent-encoded"
            )
        return Member(id=self.member, data=data)


def _presence(value: str) -> Watching:
    match value:
        case "true":
            return True
        case "false":
            return False
        case "count":
            return "count"
    raise InvalidRequest(f"presence is {value[:40]!r}; expected true, false or count")


def _is_last_event_id(name: str) -> bool:
    """Polyfills write lastEventId, lastEventID or last-event-id."""
    return name.replace("-", "").replace("_", "").lower() == "lasteventid"


def _fields(query: bytes) -> list[tuple[str, str]]:
    check_query(query)
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidRequest("the query string is not percent-encoded UTF-8") from None
