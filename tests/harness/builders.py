"""What feeds live among, built for tests: a broker's log, channel types, and history reads that are
answered when a test says so.
"""

from bisect import bisect_right
from dataclasses import dataclass, field

from eventhub.auth.principal import ANYONE, Principal
from eventhub.delivery.encoding import LINES, Encoding
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.errors import EventHubError, InvalidFilter, InvalidToken
from eventhub.events.builtin_payloads import ChatMessage, Reading
from eventhub.events.channel_types import ChannelType, PublisherKind, Retention, SlowReaderPolicy
from eventhub.events.event import Event, Gap, HistoryPage, Last, NewEvent, Position, Start
from eventhub.events.references import Reference
from eventhub.events.schema import ModelSchema
from eventhub.session.commands import Ref
from eventhub.session.interfaces import Decided

CHAT, READING = ModelSchema(ChatMessage), ModelSchema(Reading)

Asked = Start


def channel_type(
    slow: SlowReaderPolicy = SlowReaderPolicy.DROP, schema: ModelSchema = READING
) -> ChannelType:
    """A channel type with this policy for slow readers."""
    return ChannelType(
        "type",
        "payload",
        schema,
        Retention(1000, None),
        presence=False,
        slow=slow,
        publish=frozenset(PublisherKind),
    )


class Nowhere:
    """A writer to nobody, whose client's events are dropped."""

    encoding: Encoding = LINES
    full = False

    def write(self, data: bytes) -> None: ...

    def takes_signal(self, size: int) -> bool:
        return True

    def fail(self, error: EventHubError) -> None: ...

    def abort(self) -> None: ...

    def submit(self, ref: Ref, event: NewEvent, reference: Reference | None = None) -> None: ...


@dataclass
class Guest:
    """A visitor: anyone, unless a test says who; credentials are looked up among `known`, or kept
    until a test decides.
    """

    principal: Principal = ANYONE
    known: dict[str, Principal] = field(default_factory=dict)
    undecided: list[tuple[str, Decided]] = field(default_factory=list)
    charged: list[str] = field(default_factory=list)
    refusal: EventHubError | None = None
    id: str = "session"

    def authenticate(self, credential: str, decided: Decided) -> None:
        if credential == "unknown key":
            self.undecided.append((credential, decided))
        elif credential in self.known:
            self.principal = self.known[credential]
            decided(self.principal)
        else:
            decided(InvalidToken("it is none of those that are known"))

    def charge_signal(self, kind: ChannelType) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.charged.append(f"signals of {kind.name}")

    def charge(self, kind: ChannelType) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.charged.append(kind.name)


class ModelLog:
    """A channel's log as the broker contract describes it, with the memory of everything it ever
    held.

    Keeps the newest `keep` events. Offsets grow by the step each publish is given.
    """

    def __init__(self, channel: str, epoch: str = "a", keep: int = 1000) -> None:
        self.channel = channel
        self.keep = keep
        self.epoch = epoch
        self.tip = self.trimmed = 0
        self.past: dict[str, list[Event]] = {epoch: []}

    def publish(self, data: bytes = b"{}", *, step: int = 1, subject: str | None = None) -> Event:
        """Store an event."""
        attributes = None if subject is None else {"subject": subject}
        event = Event(self.channel, self.epoch, self.tip + step, self.tip, 0, data, attributes)
        self.past[self.epoch].append(event)
        self.tip = event.offset
        self.trim(self.keep)
        return event

    def trim(self, keep: int) -> None:
        """Retention: keep the newest `keep` events."""
        gone = len(self.past[self.epoch]) - keep
        if gone > 0:
            self.trimmed = max(self.trimmed, self.past[self.epoch][gone - 1].offset)

    def reset(self, epoch: str) -> None:
        """Lose everything."""
        self.epoch = epoch
        self.tip = self.trimmed = 0
        self.past[epoch] = []

    @property
    def end(self) -> Position:
        return Position(self.epoch, self.tip)

    @property
    def retained(self) -> list[Event]:
        return self.after(Position(self.epoch, self.trimmed))

    def after(self, position: Position) -> list[Event]:
        """Every event of its epoch after `position`, retained or not."""
        events = self.past.get(position.epoch, [])
        return events[bisect_right(events, position.offset, key=lambda event: event.offset) :]

    def read(self, since: Asked, limit: int = 1000) -> HistoryPage:
        """A page."""
        lost = None
        start = self.trimmed
        match since:
            case Position() if since.epoch != self.epoch or since.offset > self.tip:
                lost = "reset"
            case Position() if since.offset < self.trimmed:
                lost = "expired"
            case Position():
                start = since.offset
            case Last() if since.count < len(self.retained):
                start = self.retained[-since.count].previous
            case _:
                pass
        position = Position(self.epoch, start)
        return HistoryPage(position, self.after(position)[:limit], self.end, lost)


@dataclass(slots=True, eq=False, repr=False)
class Read:
    """A history read under way. `look` is the broker's moment, `answer` the feed's; both may come
    late.
    """

    feed: Feed
    subscriber: Subscriber | None
    since: Asked
    generation: int
    piece: HistoryPage | None = None

    def __repr__(self) -> str:
        reader = "the line" if self.subscriber is None else "a reader"
        return f"{self.feed.channel} for {reader} since {self.since}"

    def look(self, log: ModelLog, limit: int = 1000) -> None:
        """Take the page as the log is now."""
        self.piece = log.read(self.since, limit)

    def answer(self) -> None:
        """Give the page to the feed."""
        assert self.piece is not None
        self.feed.page(self.subscriber, self.since, self.piece, self.generation)


class FeedDesk:
    """FeedOwner that only takes notes."""

    def __init__(self) -> None:
        self.reads: list[Read] = []
        self.asked = 0
        self.woken = 0
        self.unwritten: dict[Feed, None] = {}
        self.behind: list[Feed] = []
        self.failing: list[tuple[Subscriber, EventHubError]] = []
        self.begun: list[tuple[Subscriber, SubscriptionStart]] = []
        self.gaps: list[tuple[Gap, Subscriber | None, int]] = []
        self.channels: list[str] = []
        """The channel of each gap."""

    def read(
        self, feed: Feed, subscriber: Subscriber | None, since: Asked, generation: int
    ) -> None:
        """FeedOwner: note a read."""
        self.asked += 1
        self.reads.append(Read(feed, subscriber, since, generation))

    def has_writes(self, feed: Feed) -> None:
        """FeedOwner: note a feed to flush."""
        self.woken += 1
        self.unwritten[feed] = None

    def fell_behind(self, feed: Feed) -> None:
        """FeedOwner: note that publishers are to wait."""
        self.behind.append(feed)

    def began(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        """FeedOwner: note where one begins."""
        self.begun.append((subscriber, start))

    def missed(self, channel: str, gap: Gap, subscriber: Subscriber | None, readers: int) -> None:
        """FeedOwner: note a gap that was told."""
        self.gaps.append((gap, subscriber, readers))
        self.channels.append(channel)

    def fail(self, subscriber: Subscriber, error: EventHubError) -> None:
        """FeedOwner: note a connection to end."""
        self.failing.append((subscriber, error))

    def serving_failed(self, subscriber: Subscriber, error: Exception) -> None:
        """FeedOwner: no fault of a feed may hide. A filter may take too long."""
        if not isinstance(error, InvalidFilter):
            raise error
        self.fail(subscriber, error)

    def unwritable(self, event: Event, error: Exception) -> None:
        """FeedOwner: the same."""
        raise error

    def end(self) -> None:
        """The next tick: connections are ended."""
        while self.failing:
            subscriber, error = self.failing.pop(0)
            subscriber.writer.fail(error)

    def slice(self) -> None:
        """A part of the end of a tick: one subscriber of each feed is written to."""
        for feed in list(self.unwritten):
            feed.live.advance(1)
            if not feed.live.due:
                del self.unwritten[feed]
            feed.flushed()

    def flush(self) -> None:
        """The end of the tick."""
        while self.unwritten:
            feed, _ = self.unwritten.popitem()
            while feed.live.advance(1000):
                feed.flushed()
            feed.flushed()
        self.end()
