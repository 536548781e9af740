"""One feed with its log, its history reads and its readers, for tests.

What a reader was told is written as short lines, see `Reader.told`.
"""

import orjson

from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber, SubscriberState, SubscriptionStart
from eventhub.events.channel_types import SlowReaderPolicy
from eventhub.events.event import Event, Latest, Position, Since
from eventhub.events.schema import ModelSchema
from eventhub.filters.event_filter import EventFilter
from tests.harness.builders import READING, FeedDesk, ModelLog, channel_type
from tests.harness.wire import Wire

CHANNEL = "chat.lobby"


STARTED = ["subscribed a-0, head a-0"]


class Reader:
    """A subscriber with its writer."""

    def __init__(
        self, node: "Node", since: Since, wire: Wire, filter_: EventFilter | None = None
    ) -> None:
        self.node = node
        self.wire = wire
        self.subscriber = Subscriber(CHANNEL, since, wire, self._started, filter_=filter_)

    @property
    def state(self) -> SubscriberState:
        return self.subscriber.state

    def told(self) -> list[str]:
        """What was written up to the end of this tick, see `_brief`."""
        self.node.desk.flush()
        return [_brief(orjson.loads(line)) for line in b"".join(self.wire.data).splitlines()]

    def news(self) -> list[str]:
        """What was written since `told` or `news` was asked last."""
        told = self.told()
        self.wire.data.clear()
        return told

    def congest(self) -> None:
        """Its buffer is full, and its owner says so."""
        self.wire.full = True
        self.node.feed.congested(self.subscriber)

    def drain(self, room: int = 1_000_000) -> None:
        """Its buffer has room again, for `room` writes, and its owner says so."""
        self.wire.full = False
        self.wire.room = len(self.wire.data) + room
        self.node.feed.drained(self.subscriber)

    def _started(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        fields = {"channel": subscriber.channel, **start.as_dict()}
        self.wire.write(self.wire.encoding.message("subscribed", fields, start.position))


class Node:
    """One feed, the log behind it and the reads under way."""

    def __init__(
        self,
        slow: SlowReaderPolicy = SlowReaderPolicy.DROP,
        *,
        keep: int = 1000,
        schema: ModelSchema = READING,
        opened: bool = True,
        past: int = 0,
        desk: FeedDesk | None = None,
    ) -> None:
        self.log = ModelLog(CHANNEL, keep=keep)
        self.desk = desk or FeedDesk()
        self.counters = DeliveryCounters()
        self.feed = Feed(CHANNEL, channel_type(slow, schema), self.counters, self.desk)
        self.lose(past)
        if opened:
            self.feed.opened(self.log.end)

    def publish(
        self, count: int = 1, *, step: int = 1, data: bytes = b"{}", subject: str | None = None
    ) -> Event:
        """Store and announce."""
        for _ in range(count):
            event = self.log.publish(data, step=step, subject=subject)
            self.feed.deliver(event)
            self.desk.end()
        return event

    def lose(self, count: int = 1) -> list[Event]:
        """Store without announcing."""
        return [self.log.publish() for _ in range(count)]

    def join(self, since: Since | None = None, wire: Wire | None = None) -> Reader:
        reader = Reader(self, since or Latest(), wire or Wire())
        self.feed.join(reader.subscriber)
        return reader

    def leave(self, reader: Reader) -> None:
        self.feed.leave(reader.subscriber)

    def look(self, limit: int = 1000) -> None:
        """The broker takes the page for the oldest read under way."""
        self.desk.reads[0].look(self.log, limit)

    def answer(self, limit: int = 1000) -> None:
        """The oldest read under way is answered: with what `look` saw, or else with the log as it
        is now.
        """
        read = self.desk.reads.pop(0)
        if read.piece is None:
            read.look(self.log, limit)
        read.answer()

    def settle(self, limit: int = 1000) -> None:
        """Answer reads until there is none. A feed that reads for ever fails here."""
        for _ in range(100):
            if not self.desk.reads:
                self.desk.end()
                return
            self.answer(limit)
        raise AssertionError("the feed reads without end")

    @property
    def reads(self) -> list[str]:
        """Where the reads under way begin."""
        return [str(read.since) for read in self.desk.reads]


def _brief(message: dict[str, str]) -> str:
    """`a-7`, `subscribed position, head end`, or `gap after < before @position reason skipped`."""
    match message["type"]:
        case "event":
            return message["id"]
        case "position":
            return f"position {message['position']}"
        case "filter_failed":
            return f"filter_failed {message['id']}: {message['reason']}"
        case "subscribed":
            recovered = "" if message["recovered"] else ", not recovered"
            return f"subscribed {message['position']}, head {message['head']}{recovered}"
        case _:
            assert message["channel"] == CHANNEL
            skipped = f" {message['skipped']}" if "skipped" in message else ""
            return (
                f"gap {message['after']} < {message['before']} "
                f"@{message['position']} {message['reason']}{skipped}"
            )


def at(offset: int, epoch: str = "a") -> Position:
    return Position(epoch, offset)


def ids(first: int, last: int) -> list[str]:
    return [f"a-{offset}" for offset in range(first, last + 1)]


def gap(after: str, before: str, position: str, reason: str) -> str:
    return f"gap {after} < {before} @{position} {reason}"
