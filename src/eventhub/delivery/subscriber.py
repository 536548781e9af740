"""One subscriber of one channel, and its connection's writer as feeds see it."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Literal, NamedTuple, Protocol

from eventhub.delivery.encoding import Encoding
from eventhub.delivery.filtering import FilteredEncoding
from eventhub.errors import EventHubError
from eventhub.events.event import Position, Since
from eventhub.filters.event_filter import EventFilter


class ConnectionWriter(Protocol):
    """Writes to one connection. A feed never calls `fail` or `abort`: it calls `FeedOwner.fail`."""

    @property
    def encoding(self) -> Encoding:
        """The encoding of everything that is written."""
        ...

    @property
    def full(self) -> bool:
        """Whether the outgoing buffer is at its bound.

        The writer's owner calls `Feed.congested` when it fills, and `Feed.drained` when it has
        room again.
        """
        ...

    def write(self, data: bytes) -> None:
        """Queue whole messages. Never blocks, never raises."""
        ...

    def takes_signal(self, size: int) -> bool:
        """Whether the outgoing buffer is empty enough for a signal of so many bytes."""
        ...

    def fail(self, error: EventHubError) -> None:
        """Close the connection because of this error."""
        ...

    def abort(self) -> None:
        """Close the connection at once, and drop its buffer."""
        ...


Watching = bool | Literal["count"]
"""Whether a subscriber gets the members, or their number, and every change."""


class SubscriptionStart(NamedTuple):
    """Where a subscription begins.

    `position` is the subscriber's, `head` the end of the log. `recovered`: nothing that was asked
    for is missing.
    """

    position: Position
    head: Position
    recovered: bool

    def as_dict(self) -> dict[str, Any]:
        """The fields of a `subscribed` message."""
        return {"position": str(self.position), "head": str(self.head), "recovered": self.recovered}


class SubscriberState(Enum):
    """A subscriber's state. The table at the top of feed.py has the transitions."""

    CATCHING_UP = auto()
    LIVE = auto()
    LAGGING = auto()
    GONE = auto()


class Subscriber:
    """One subscriber of one channel.

    `started` is called once, before anything of the channel is written. `member` is its id in
    presence, "" when it has none. `watching`: it gets the changes of presence, or of the number of
    members. `session` names its connection in logs. `filter_`: it gets the events that match.
    """

    __slots__ = (
        "channel",
        "filtered",
        "mark",
        "member",
        "position",
        "reading",
        "session",
        "since",
        "started",
        "state",
        "watching",
        "writer",
    )

    def __init__(
        self,
        channel: str,
        since: Since,
        writer: ConnectionWriter,
        started: Callable[["Subscriber", SubscriptionStart], None],
        member: str = "",
        *,
        watching: Watching = False,
        session: str = "",
        filter_: EventFilter | None = None,
    ) -> None:
        self.channel = channel
        self.since = since
        self.writer = writer
        self.started: Callable[[Subscriber, SubscriptionStart], None] | None = started
        self.member = member
        self.watching = watching
        self.session = session
        self.filtered = None if filter_ is None else FilteredEncoding(writer.encoding, filter_)
        self.state = SubscriberState.CATCHING_UP
        self.position: Position | None = None
        """None until it has started. Not updated while it is live: it is the feed's `delivered`."""
        self.reading = False
        """A page of history is being read for it."""
        self.mark = 0
        """The feed's `delivered_count` when it began to lag, or at the last event it got since."""

    @property
    def encoding(self) -> Encoding:
        """The encoding of the events that it gets, with its filter if it has one."""
        return self.filtered or self.writer.encoding

    @property
    def has_begun(self) -> bool:
        """Whether the client has been told so."""
        return self.started is None

    def stays(self) -> bool:
        """Whether it wants the feed's events now that it has turned live."""
        return True
