"""What the query string of a stream or a WebSocket asks for. No I/O."""

from urllib.parse import parse_qsl

from eventhub.errors import InvalidRequest, InvalidSince
from eventhub.events.channels import NAME_LENGTH
from eventhub.events.event import Latest, Position, Since, parse_cursor, parse_since
from eventhub.presence.roster import MEMBER_LENGTH
from eventhub.server.messages.request_head import check_query
from eventhub.session.commands import Subscribe
from eventhub.session.session import Session

CACHE_BUSTERS = ("_", "r")
"""Parameters with a number of no meaning, which polyfills of EventSource add: older ones of
Yaffle's, and those that use jQuery.
"""


class StreamQuery:
    """The subscriptions that a query string asks for: `channel` (repeated), `since`, `member`. Raises EventHubError.

    `last_event_id`: the header of an EventSource, "" where it sent none; None for other clients. Polyfills, which cannot set the header
    for another origin, put it into the address. The header counts when both are there: an address may stay the same over reconnects.
    """

    def __init__(
        self, query: bytes, channel: str | None = None, last_event_id: str | None = None
    ) -> None:
        self.since = "latest"
        member: str | None = None
        self.channels = [channel] if channel else []
        seen: set[str] = set()
        in_address = ""
        for name, value in _fields(query):
            match name:
                case "channel" if channel is None:
                    self.channels.append(value)
                case "since" if name not in seen:
                    self.since = value
                case "member" if name not in seen:
                    member = value
                case "since" | "member":
                    raise InvalidRequest(
                        f"{name} is given more than once; expected it once, a cursor where several channels are named"
                    )
                case _ if last_event_id is not None and _is_last_event_id(name):
                    in_address = (
                        value or in_address
                    )  # the last one, where a library adds it to an address that has one
                case _ if last_event_id is not None and name in CACHE_BUSTERS:
                    pass
                case _:
                    known = "since, member" if channel else "channel, since, member"
                    raise InvalidRequest(f"unknown query parameter {name[:40]!r}; expected {known}")
            seen.add(name)
        if member is not None and not 1 <= len(member) <= MEMBER_LENGTH:
            raise InvalidRequest(
                f"member has {len(member)} characters; expected 1 to {MEMBER_LENGTH}"
            )
        self._member = member
        name = "Last-Event-ID" if last_event_id else "lastEventId" if in_address else "since"
        last_event_id = last_event_id or in_address
        # a stream that broke off before all its channels had begun begins with the others where its
        # address says
        self._otherwise = (
            parse_since(self.since) if last_event_id and "@" not in self.since else Latest()
        )
        self.since = last_event_id or self.since
        self._cursor = parse_cursor(self.since, name) if "@" in self.since else None
        if self._cursor is None:
            parse_since(self.since, name)
        elif not last_event_id and (strangers := self._cursor.keys() - set(self.channels)):
            raise InvalidSince(
                f"since names channel {min(strangers)[:NAME_LENGTH]!r}, which the address does not; expected its channels"
            )

    def subscribe(self, session: Session) -> None:
        """Carry it out. Raises EventHubError."""
        for channel in self.channels:
            session.subscribe(
                Subscribe(type="subscribe", channel=channel, member=self._member),
                self._since(channel),
            )

    def positions(self) -> dict[str, str]:
        """The ids asked for, by channel."""
        found = {channel: self._since(channel) for channel in self.channels}
        return {
            channel: str(since) for channel, since in found.items() if isinstance(since, Position)
        }

    def _since(self, channel: str) -> Since:
        if self._cursor is None:
            return parse_since(self.since)
        return self._cursor.get(channel, self._otherwise)


def _is_last_event_id(name: str) -> bool:
    """`lastEventId` as event-source-polyfill and reconnecting-eventsource write it; others write lastEventID or last-event-id."""
    return name.replace("-", "").replace("_", "").lower() == "lasteventid"


def _fields(query: bytes) -> list[tuple[str, str]]:
    check_query(query)
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise InvalidRequest("the query string is not percent-encoded UTF-8") from None
