"""Apart subscribers of a pattern, the feeds of its channels and their logs, for tests."""

from eventhub.delivery.apart import ApartSubscribers
from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.feed import Feed
from eventhub.delivery.pattern_subscriber import PatternSubscriber
from eventhub.errors import SlowConsumer
from eventhub.events.event import LATEST, Earliest, Since
from tests.harness.builders import FeedDesk, ModelLog, channel_type
from tests.harness.wire import Wire


class Apart:
    """Apart subscribers, their feeds with two events each, and what became of them."""

    def __init__(self, *channels: str, past: int = 2) -> None:
        self.desk = FeedDesk()
        self.logs = {channel: ModelLog(channel) for channel in channels}
        self.feeds = {channel: self._feed(channel) for channel in channels}
        for channel, log in self.logs.items():
            for _ in range(past):
                log.publish()
            self.feeds[channel].opened(log.end)
        self.live: list[PatternSubscriber] = []
        self.failed: list[tuple[PatternSubscriber, SlowConsumer]] = []
        self.apart = ApartSubscribers(self.feeds, self.live.append, self._fail)

    def join(self, todo: dict[str, Since | None] | None = None, *, full: bool = False) -> "Reader":
        reader = Reader(self, todo or {}, full=full)
        self.apart.add(reader.subscriber)
        return reader

    def publish(self, channel: str, count: int = 1) -> None:
        for _ in range(count):
            self.apart.about_to_deliver(self.feeds[channel])
            self.feeds[channel].deliver(self.logs[channel].publish())

    def answer(self, channel: str) -> None:
        """The read of a channel is answered."""
        read = next(each for each in self.desk.reads if each.feed.channel == channel)
        self.desk.reads.remove(read)
        read.look(self.logs[channel])
        read.answer()

    @property
    def reads(self) -> list[str]:
        return [read.feed.channel for read in self.desk.reads]

    def _feed(self, channel: str) -> Feed:
        return Feed(channel, channel_type(), DeliveryCounters(), self.desk)

    def _fail(self, subscriber: PatternSubscriber, error: SlowConsumer) -> None:
        self.failed.append((subscriber, error))
        self.apart.discard(subscriber)


class Reader:
    def __init__(self, node: Apart, todo: dict[str, Since | None], *, full: bool) -> None:
        self.apart = node.apart
        self.wire = Wire()
        self.wire.full = full
        self.subscriber = PatternSubscriber("*", LATEST, self.wire, lambda *_: None)
        self.subscriber.todo = todo

    @property
    def got(self) -> list[str]:
        """Events and gaps, as `a k-1`."""
        return [
            f"{each['channel']} {each['id'] if each['type'] == 'event' else 'gap'}"
            for each in self.wire.messages
        ]

    @property
    def parts(self) -> list[str]:
        return sorted(self.subscriber.parts)

    def advance(self) -> None:
        self.apart.advance(self.subscriber)

    def drain(self) -> None:
        self.wire.full = False
        self.apart.drained(self.subscriber)


def earliest(*channels: str) -> dict[str, Since | None]:
    return dict.fromkeys(channels, Earliest())
