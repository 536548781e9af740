"""One reader of one channel, and its connection's way out as the hub sees it."""

from collections.abc import Callable
from enum import Enum, auto
from typing import Any, NamedTuple, Protocol

from eventhub.delivery.encoding import Encoding
from eventhub.errors import EventHubError
from eventhub.events.event import Position, Since


class ConnectionWriter(Protocol):
    """A connection's way out, as feeds see it. Feeds call no `fail` themselves: it makes the connection leave (`FeedIO.fail`)."""

    @property
    def encoding(self) -> Encoding:
        """What to encode for it with."""
        ...

    @property
    def full(self) -> bool:
        """The outgoing buffer is at its bound. Its owner calls `Feed.congested` and, once it has drained, `Feed.drained`."""
        ...

    def write(self, data: bytes) -> None:
        """Queue whole messages. Never blocks, never raises."""
        ...

    def fail(self, error: EventHubError) -> None:
        """End the connection for this error."""
        ...

    def abort(self) -> None:
        """Close it at once, whatever is buffered."""
        ...


class SubscriptionStart(NamedTuple):
    """Where a subscription begins: the reader's position, the end of the log, and whether nothing asked for is missing."""

    position: Position
    head: Position
    recovered: bool

    def as_dict(self) -> dict[str, Any]:
        """The fields of a `subscribed` message."""
        return {"position": str(self.position), "head": str(self.head), "recovered": self.recovered}


class SubscriberState(Enum):
    """Of a subscriber. HELD until it has caught up, LIVE, LAGGING behind a full writer, GONE."""

    HELD = auto()
    LIVE = auto()
    LAGGING = auto()
    GONE = auto()


class Subscriber:
    """One reader of one channel; `member` is its id in presence, "" for one who has none, `watching`: it is told of the others.

    `session` is what its connection is called in logs. `started` is called once, with the subscriber and where it begins, before anything
    of the channel is written.
    """

    __slots__ = (
        "channel",
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
        watching: bool = False,
        session: str = "",
    ) -> None:
        self.channel = channel
        self.since = since
        self.writer = writer
        self.started: Callable[[Subscriber, SubscriptionStart], None] | None = started
        self.member = member
        self.watching = watching
        self.session = session
        self.state = SubscriberState.HELD
        self.position: Position | None = (
            None  # unknown until started; not kept up while live: then it is the feed's line
        )
        self.reading = False
        self.mark = (
            0  # the feed's count when it began to lag, or at the last event it was given since
        )
