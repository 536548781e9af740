"""The audience of a pattern, the feeds of its channels and their logs, for tests.

What a reader was told is written as short lines, see `_brief`. Channels are named without their
type: `x` is `type.x`.
"""

from collections.abc import Callable
from typing import Any

import orjson

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.feed import Feed
from eventhub.delivery.pattern_audience import PatternAudience
from eventhub.delivery.pattern_subscriber import PatternSince, PatternSubscriber
from eventhub.delivery.subscriber import Subscriber, SubscriberState
from eventhub.events.channel_types import SlowReaderPolicy
from eventhub.events.event import LATEST, Event
from eventhub.filters.event_filter import EventFilter
from tests.harness.builders import FeedDesk, ModelLog, channel_type
from tests.harness.wire import Wire

PATTERN = "type.>"


class PatternDesk(FeedDesk):
    """FeedOwner and AudienceOwner that only takes notes."""

    def __init__(self) -> None:
        super().__init__()
        self.progress: list[str] = []
        self.faults: list[Exception] = []
        self.faulty: list[Subscriber] = []
        self.later: list[Callable[[], None]] = []
        self.audience_woken = 0

    def has_writes(self, feed: Feed | PatternAudience) -> None:
        """AudienceOwner: an audience is written to as a feed is."""
        self.audience_woken += isinstance(feed, PatternAudience)
        super().has_writes(feed)  # type: ignore[arg-type]  # `flush` treats both in the same way

    def progressed(self, feed: Feed) -> None:
        """AudienceOwner: note a feed that may have gone on."""
        self.progress.append(feed.channel)

    def serving_failed(self, subscriber: Subscriber, error: Exception) -> None:
        """AudienceOwner: note an error."""
        self.faulty.append(subscriber)
        self.faults.append(error)

    def soon(self, work: Callable[[], None]) -> None:
        """AudienceOwner: note work for a later turn."""
        self.later.append(work)


class PatternReader:
    """A subscriber with its writer."""

    def __init__(
        self, node: "PatternNode", since: PatternSince, wire: Wire, filter_: EventFilter | None
    ) -> None:
        self.node = node
        self.wire = wire
        self.subscriber = PatternSubscriber(PATTERN, since, wire, self._begun, filter_=filter_)

    @property
    def state(self) -> SubscriberState:
        return self.subscriber.state

    @property
    def is_live(self) -> bool:
        """Its audience has it among its live subscribers, and nowhere else."""
        places = [each for each in self.node.audience.subscribers if each is self.subscriber]
        return len(places) == 1 and self.subscriber in [*self.node.audience.live.keys()]

    @property
    def parts(self) -> list[str]:
        """The channels in which it has a part."""
        return sorted(_short(channel) for channel in self.subscriber.parts)

    def news(self) -> list[str]:
        """What was written since this was asked last, up to the end of this tick."""
        self.node.desk.flush()
        return self.unflushed()

    def unflushed(self) -> list[str]:
        """What was written since this was asked last, before the end of this tick."""
        lines = b"".join(self.wire.data).splitlines()
        self.wire.data.clear()
        return [_brief(orjson.loads(line)) for line in lines]

    def congest(self) -> None:
        """Its buffer is full, and its owner says so."""
        self.wire.full = True
        self.node.audience.congested(self.subscriber)

    def drain(self) -> None:
        """Its buffer has room again, and its owner says so."""
        self.wire.full = False
        self.node.audience.drained(self.subscriber)

    def _begun(self, subscriber: Subscriber, fields: dict[str, object]) -> None:
        assert subscriber is self.subscriber
        self.wire.write(self.wire.encoding.message("subscribed", fields))


class PatternNode:
    """An audience. Its channels are there from the beginning, or are added by a test."""

    def __init__(
        self,
        *channels: str,
        past: int = 0,
        slow: SlowReaderPolicy = SlowReaderPolicy.DROP,
        listed: bool = True,
    ) -> None:
        self.desk = PatternDesk()
        self.slow = slow
        self.counters = DeliveryCounters()
        self.logs: dict[str, ModelLog] = {}
        self.audience = PatternAudience(ChannelPattern(PATTERN), {"type": self.counters}, self.desk)
        for name in channels:
            self.add(name, past=past)
        if listed:
            self.audience.listed()

    def add(self, name: str, *, past: int = 0, opened: bool = True) -> Feed:
        """A channel with `past` events gets a feed. It begins at the end of the log."""
        log = self.logs[name] = ModelLog(f"type.{name}")
        for _ in range(past):
            log.publish()
        feed = Feed(log.channel, channel_type(self.slow), self.counters, self.desk)
        self.audience.attach(feed)
        if opened:
            feed.opened(log.end)
        return feed

    def feed(self, name: str) -> Feed:
        return self.audience.feeds[f"type.{name}"]

    def publish(self, name: str, count: int = 1, data: bytes = b"{}") -> Event:
        """Store and announce."""
        for _ in range(count):
            event = self.logs[name].publish(data)
            self.feed(name).deliver(event)
        return event

    def join(
        self,
        since: PatternSince = LATEST,
        wire: Wire | None = None,
        filter_: EventFilter | None = None,
    ) -> PatternReader:
        reader = PatternReader(self, since, wire or Wire(), filter_)
        self.audience.join(reader.subscriber)
        return reader

    def live(self, wire: Wire | None = None) -> PatternReader:
        """A reader that has been told where it stands."""
        reader = self.join(wire=wire)
        reader.news()
        assert reader.is_live
        return reader

    def answer(self) -> None:
        """The oldest read under way is answered with the log as it is now."""
        read = self.desk.reads.pop(0)
        read.look(self.logs[_short(read.feed.channel)])
        read.answer()

    def settle(self) -> None:
        """Answer reads until there is none."""
        for _ in range(1000):
            if not self.desk.reads:
                self.desk.end()
                return
            self.answer()
        raise AssertionError("the feeds read without end")

    @property
    def reads(self) -> list[str]:
        """The channels of the reads under way."""
        return [_short(read.feed.channel) for read in self.desk.reads]


def _short(channel: str) -> str:
    return channel.removeprefix("type.")


def _brief(message: dict[str, Any]) -> str:
    """`x a-7`, `subscribed to 2`, `x gap a-1 < a-4 reason`, or `positions x=a-7 y=a-0`."""
    name = _short(message.get("channel", ""))
    match message["type"]:
        case "event":
            return f"{name} {message['id']}"
        case "subscribed":
            return f"subscribed to {message['channels']}"
        case "gap":
            return f"{name} gap {message['after']} < {message['before']} {message['reason']}"
        case "signal":
            return f"{name} signal {message['data']}"
        case "positions":
            assert message["channel"] == PATTERN
            found = [f"{_short(each)}={at}" for each, at in message["positions"].items()]
            more = [] if message["complete"] else ["and more"]
            return " ".join(["positions", *found, *more])
        case kind:
            return f"{kind} {name}"
