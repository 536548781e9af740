"""Feeds under random interleavings: whatever happens, each reader gets what PROTOCOL.md promises.
EVENTHUB_LONG=1 looks for longer.

`World` plays the broker, the hub, the connections and the clients. What it does is read from random
bytes, because a world needs hundreds of steps to be busy. Every message is judged by a `Promise`
when it is written.
"""

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import orjson
import pytest
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st

from eventhub.delivery import fanout as fanout_module
from eventhub.delivery import recent as recent_module
from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.encoding import LINES
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber, SubscriberState, SubscriptionStart
from eventhub.errors import EventHubError, SlowConsumer
from eventhub.events.channel_types import SlowReaderPolicy
from eventhub.events.event import Earliest, Event, Last, Latest, Position, Since
from eventhub.events.since import parse_since
from eventhub.filters.event_filter import EventFilter
from tests.harness.builders import FeedDesk, ModelLog, Read, channel_type

T = TypeVar("T")

LONG = bool(os.environ.get("EVENTHUB_LONG"))
PEOPLE = 3
ROUNDS = 200
"""After which a world that is left alone must be quiet."""


class Channel:
    """A channel as its broker sees it, and its feed."""

    def __init__(self, name: str, slow: SlowReaderPolicy) -> None:
        self.name = name
        self.kind = channel_type(slow)
        self.log = ModelLog(name, "e0")
        self.feed: Feed | None = None
        self.opening: Position | None = (
            None  # the broker has taken the subscription, the feed has not been told
        )
        self.opened = False
        self.announcing = False
        self.announcements: deque[Event] = deque()
        self.delivered: deque[Event] = deque(maxlen=4)
        self.owes_gap = False
        self.untold: set[Position] = set()  # events that every live reader was told are gone

    def __repr__(self) -> str:
        return self.name

    def publish(self, step: int, series: bytes) -> None:
        data = b'{"value":%d,"sensor":"%b"}' % (self.log.tip % 10, series)
        event = self.log.publish(data, step=step)
        if self.announcing:
            self.announcements.append(event)

    def deliver(self, count: int) -> None:
        for _ in range(min(count, len(self.announcements))):
            event = self.announcements.popleft()
            self.delivered.append(event)
            if self.feed is not None:
                self.feed.deliver(event)

    def gap(self) -> None:
        self.owes_gap = False
        if self.feed is not None:
            self.feed.gap()

    def open(self) -> None:
        """The broker takes the subscription, and then, by another call, the feed gets to know."""
        if self.feed is None or self.opened:
            return
        if self.opening is None:
            self.announcing = True
            self.opening = self.log.end
        else:
            self.opened = True
            self.feed.opened(self.opening)

    def close(self, feed: Feed) -> None:
        """The hub lets go of a feed without subscribers."""
        if feed is self.feed and not feed:
            self.feed, self.opening, self.opened, self.announcing = None, None, False, False

    def order(self, position: Position) -> tuple[int, int]:
        """Of positions over all epochs."""
        return list(self.log.past).index(position.epoch), position.offset

    def between(self, after: Position, end: Position) -> list[Event]:
        """Every event after `after`, up to `end`, whatever became of it."""
        begin, last = self.order(after), self.order(end)
        return [
            event
            for events in self.log.past.values()
            for event in events
            if begin < self.order(event.position) <= last
        ]

    def passed(self, after: Position, end: Position) -> list[Event]:
        """Those of them that the live readers got."""
        return [event for event in self.between(after, end) if event.position not in self.untold]

    def next(self, position: Position) -> Event | None:
        return next(iter(self.log.after(position)), None)

    def newest(self, after: Position, end: Position) -> list[Position]:
        """The newest event of each series, oldest first, as many as a feed keeps."""
        series: dict[str, Position] = {}
        for event in self.passed(after, end):
            series.pop(self.kind.conflation_key(event), None)
            series[self.kind.conflation_key(event)] = event.position
        return list(series.values())[-recent_module.KEYS :]


class Promise:
    """What one subscription may be told next."""

    def __init__(self, channel: Channel, feed: Feed, since: Since) -> None:
        self.channel = channel
        self.feed = feed
        self.since = since
        self.at: Position | None = None
        self.ahead = (
            isinstance(since, Position)
            and since.epoch == channel.log.epoch
            and since.offset > channel.log.tip
        )
        self.broken = False  # `subscribed` announced a gap
        self.survivors: deque[Position] = deque()  # of a conflation, still to come
        self.line: Position | None = None  # where a conflation ends
        self.over = False
        self.heard = 0
        """The last signal. Signals are numbered over all channels."""

    def hear(self, number: int, *, room: bool) -> None:
        assert not self.over, "written after the end"
        assert room, "a signal takes the room of events"
        assert self.at is not None, "a signal before the subscription has begun"
        assert number > self.heard, "a signal twice, or from before the subscription"
        self.heard = number

    def see(self, message: dict[str, Any]) -> None:
        assert not self.over, "written after the end"
        match message["type"]:
            case "subscribed":
                self._subscribed(message)
            case "event":
                assert not self.broken, "a gap was announced"
                self._event(_position(message["id"]))
            case "gap":
                self.broken = False
                self._gap(message)

    def stands(self, end: Position) -> None:
        """Everything has been sent."""
        assert not self.survivors, "the newest events of some series did not come"
        self._stands(end)

    def _stands(self, position: Position) -> None:
        """The subscriber has been told everything up to this position."""
        assert position == self._cursor()

    def _next(self) -> Event | None:
        """The next event of the subscriber."""
        return self.channel.next(self._cursor())

    def _newest(self, after: Position, end: Position) -> list[Position]:
        """The newest event of each series, of those that the subscriber gets."""
        return self.channel.newest(after, end)

    def _subscribed(self, message: dict[str, Any]) -> None:
        assert self.at is None, "subscribed twice"
        self.at = _position(message["position"])
        self.broken = not message["recovered"]

    def _event(self, position: Position) -> None:
        if self.survivors:
            assert position == self.survivors.popleft()
        else:
            following = self._next()
            assert following is not None, f"{position} at {self._cursor()}"
            assert following.position == position
            self.line = None
        self.at = position

    def _gap(self, message: dict[str, Any]) -> None:
        after, before, position = (
            _position(message[name]) for name in ("after", "before", "position")
        )
        if after != self.at:
            assert not self.survivors
            self._stands(after)
        match message["reason"]:
            case "expired":
                self._expired(after, before, position)
            case "reset":
                self._reset(after, position)
            case "slow":
                assert self.channel.kind.slow is SlowReaderPolicy.DROP
                assert self._line(before) == position
                assert message["skipped"] == len(self.channel.passed(after, position))
            case "conflated":
                self._conflated(after, before, position, message["skipped"])
        if message["reason"] != "conflated":
            self.survivors.clear()
            self.line = None
            following = self.channel.next(position)
            assert following is None or following.position >= before
        self.at = position
        self.ahead = False

    def _expired(self, after: Position, before: Position, position: Position) -> None:
        assert after.epoch == before.epoch == position.epoch
        lost = self.channel.between(after, position)
        assert lost, "nothing expired"
        log = self.channel.log
        assert position.epoch != log.epoch or lost[-1].offset <= log.trimmed, (
            "told of events that are retained"
        )

    def _reset(self, after: Position, position: Position) -> None:
        epochs = list(self.channel.log.past)
        assert self.ahead or after.epoch not in epochs[epochs.index(position.epoch) :], (
            "the log was not reset"
        )
        assert (
            position.epoch != self.channel.log.epoch or position.offset <= self.channel.log.trimmed
        ), "retained events are left out"

    def _conflated(
        self, after: Position, before: Position, position: Position, skipped: int
    ) -> None:
        assert self.channel.kind.slow is SlowReaderPolicy.LATEST
        self.line = self._line(before)
        self.survivors = deque(self._newest(after, self.line))
        assert skipped == len(self.channel.passed(after, self.line)) - len(self.survivors)
        assert position == (after if self.survivors else self.line)

    def _line(self, before: Position) -> Position:
        line = self.feed.continuity.delivered
        assert line is not None
        assert before == Position(line.epoch, line.offset + 1)
        assert line != self.at, "nothing was skipped"
        return line

    def _cursor(self) -> Position:
        """The end of a conflation when all of it has come, otherwise the last position told."""
        assert self.at is not None, "not subscribed"
        return self.line or self.at


class Person:
    """A client that keeps one cursor a channel."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.cursors: dict[Channel, Position] = {}
        self.connection: Connection | None = None

    def __repr__(self) -> str:
        return f"#{self.number}"

    def read(self, channel: Channel, message: dict[str, Any]) -> None:
        if message["type"] != "filter_failed":
            self.cursors[channel] = _position(
                message["id"] if message["type"] == "event" else message["position"]
            )

    def close(self) -> None:
        """What has not been read is lost."""
        connection, self.connection = self.connection, None
        if connection is not None:
            for channel in list(connection.subscriptions):
                connection.leave(channel)


class Connection:
    """A writer that is full beyond `bound` messages, until a quarter is left. Tells its owner so
    later, as transports do.
    """

    encoding = LINES

    def __init__(
        self,
        person: Person,
        bound: int,
        later: deque[Callable[[], None]],
        failed: Callable[["Connection"], None],
        *,
        prompt: bool,
    ) -> None:
        self.person = person
        self.bound = bound
        self.prompt = prompt  # closes from inside `fail`
        self.full = False
        self.failed = False
        self.notices = 0
        self.queue: deque[tuple[Channel, dict[str, Any]]] = deque()
        self.subscriptions: dict[Channel, tuple[Subscriber, Promise]] = {}
        self._later = later
        self._failed = failed

    def __repr__(self) -> str:
        return f"{self.bound}"

    def write(self, data: bytes) -> None:
        if self.failed:
            return
        for line in data.splitlines():
            message = orjson.loads(line)
            channel = next(
                channel for channel in self.subscriptions if channel.name == message["channel"]
            )
            promise = self.subscriptions[channel][1]
            if message["type"] == "signal":
                promise.hear(message["data"], room=self.takes_signal(len(data)))
                continue
            promise.see(message)
            self.queue.append((channel, message))
        if len(self.queue) > self.bound and not self.full:
            self.full = True
            self._notify(self._congested)

    def takes_signal(self, size: int) -> bool:
        return len(self.queue) <= self.bound // 2

    def fail(self, error: EventHubError) -> None:
        assert isinstance(error, SlowConsumer)
        self.failed = True
        self._failed(self)

    def abort(self) -> None: ...

    def consume(self, count: int) -> None:
        for _ in range(min(count, len(self.queue))):
            self.person.read(*self.queue.popleft())
        if self.full and len(self.queue) <= self.bound // 4:
            self.full = False
            self._notify(self._drained)

    def leave(self, channel: Channel) -> None:
        subscriber, promise = self.subscriptions.pop(channel)
        promise.over = True
        promise.feed.leave(subscriber)
        channel.close(promise.feed)

    def _notify(self, notice: Callable[[], None]) -> None:
        self.notices += 1
        self._later.append(notice)

    def _congested(self) -> None:
        self.notices -= 1
        if self.full:
            for subscriber, promise in list(self.subscriptions.values()):
                promise.feed.congested(subscriber)

    def _drained(self) -> None:
        self.notices -= 1
        if not self.full:
            for subscriber, promise in list(self.subscriptions.values()):
                promise.feed.drained(subscriber)


class Script:
    """Choices, one a byte. Without bytes the first option is chosen."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self._bytes = iter(b"")

    def turn(self, data: bytes) -> None:
        """The next step."""
        self.steps.append("")
        self._bytes = iter(data)

    def pick(self, options: Sequence[T]) -> T:
        chosen = options[next(self._bytes, 0) % len(options)]
        self.steps[-1] += f"{chosen} "
        return chosen


class Desk(FeedDesk):
    """Looks at a reader when it is decided that it is too slow: until it is ended, a tick later, it
    may have drained.
    """

    def fail(self, subscriber: Subscriber, error: EventHubError) -> None:
        writer = subscriber.writer
        assert isinstance(writer, Connection)
        assert writer.full or writer.notices, "had room"
        super().fail(subscriber, error)


class World:
    """Everything around the feeds."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.pick = self.script.pick
        self.desk = Desk()
        self.channels = [Channel(f"type.{slow}", slow) for slow in SlowReaderPolicy]
        self.people = [Person(number) for number in range(PEOPLE)]
        self.later: deque[Callable[[], None]] = deque()
        self.answering: Read | None = None

    def run(self, setting: bytes, steps: Sequence[bytes]) -> None:
        """Follow the script, then let everything come to rest."""
        self.script.turn(setting)
        self.prepare()
        for step in steps:
            self.script.turn(step)
            getattr(self, self.pick(self.steps))()
            self.check()
            if self.eager:
                self.flush()
                self.tick()
                self.check()
        self.come_to_rest()
        for channel in self.channels:
            for series in (b"x", b"x", b"y"):
                channel.publish(1, series)
        self.come_to_rest()

    def prepare(self) -> None:
        recent_module.RECENT_EVENTS = self.pick([1, 2, 4, 1024])
        recent_module.RECENT_BYTES = self.pick([1, 60, 1_000_000, 1_000_000])
        recent_module.KEYS = self.pick([1, 2, 10_000, 10_000])
        fanout_module.QUEUED_BYTES = self.pick([256 * 1024, 1, 100, 256 * 1024])
        for channel in self.channels:
            channel.log.keep = self.pick([1000, 1000, 4, 1, 0])
        self.busy = (
            self.channels[self.pick([0, 1, 2, 0, 1, 2]) : self.pick([3, 3, 2])] or self.channels
        )
        self.bounds = self.pick([[1, 3, 8], [3], [1], [1000]])
        self.eager = self.pick([False, True, True])  # otherwise ticks end when the script says so
        calm = self.pick(
            [0, 0, 1, 3]
        )  # without some kinds of trouble much of it grows old enough to be seen
        trouble = list(TROUBLE)
        for _ in range(calm * len(trouble) // 3):
            trouble.remove(self.pick(trouble))
        self.steps = [
            name
            for name, weight in ({**STEPS, **{name: TROUBLE[name] for name in trouble}}).items()
            for _ in range(weight)
        ]

    def nothing(self) -> None:
        """What steps shrink to."""

    # The broker

    def publish(self) -> None:
        channel, series = self.pick(self.busy), self.pick([b"x", b"x", b"y", b"z"])
        for _ in range(self.pick([1, 1, 2, 4])):
            channel.publish(self.pick([1, 1, 3]), series)

    def publish_and_deliver(self) -> None:
        channel, last = self.pick(self.busy), self.pick([b"x", b"x", b"y", b"z"])
        for series in self.pick([[], [b"x"], [b"y"], [b"x", b"z", b"x"]]):
            channel.publish(1, series)
        channel.publish(1, last)
        channel.deliver(1000)

    def deliver(self) -> None:
        self.pick(self.busy).deliver(self.pick([1, 2, 1000]))

    def deliver_again(self) -> None:
        channel = self.pick(self.busy)
        if channel.feed is not None:
            for event in channel.delivered:
                channel.feed.deliver(event)

    def lose_announcement(self) -> None:
        channel, first = self.pick(self.busy), self.pick([0, 0, 1, 2])
        if first < len(channel.announcements):
            del channel.announcements[first]
            channel.owes_gap = True

    def gap(self) -> None:
        self.pick(self.busy).gap()

    def reconnect(self) -> None:
        """What is published meanwhile is never announced."""
        channel = self.pick(self.busy)
        for series in self.pick([[b"x"], [b"x", b"y"], []]):
            channel.publish(1, series)
        channel.announcements.clear()
        channel.gap()

    def trim(self) -> None:
        self.pick(self.busy).log.trim(self.pick([0, 1, 2, 3]))

    def reset(self) -> None:
        channel = self.pick(self.busy)
        channel.log.reset(f"e{len(channel.log.past)}")
        channel.owes_gap = True
        if self.pick([True, False]):
            channel.announcements.clear()

    def open(self) -> None:
        self.pick(self.busy).open()

    def look(self) -> None:
        if self.desk.reads and (read := self.pick(self.desk.reads)).piece is None:
            read.look(self.log(read.feed), self.pick([1, 2, 3, 1000]))

    def answer(self) -> None:
        if self.desk.reads:
            self.finish(self.pick(self.desk.reads), self.pick([1, 2, 3, 1000]))

    def log(self, feed: Feed) -> ModelLog:
        return next(channel.log for channel in self.channels if channel.name == feed.channel)

    def finish(self, read: Read, limit: int) -> None:
        """Answer a read, unless it is one that the hub lets go."""
        self.desk.reads.remove(read)
        channel = next(channel for channel in self.channels if channel.name == read.feed.channel)
        if read.piece is None:
            if channel.feed is not read.feed or (
                read.subscriber is not None and read.subscriber.state is SubscriberState.GONE
            ):
                return
            read.look(channel.log, limit)
        piece = read.piece
        assert piece is not None
        if (
            read.subscriber is None
            and channel.feed is read.feed
            and piece.lost
            and read.since == read.feed.continuity.delivered
        ):
            channel.untold |= {
                event.position
                for event in channel.between(read.feed.continuity.delivered, piece.start)
            }
        self.answering = read
        read.answer()
        self.answering = None

    # The hub

    def flush(self) -> None:
        self.desk.flush()

    def slice(self) -> None:
        self.desk.slice()

    def tick(self) -> None:
        """Connections tell their owners what they have to tell."""
        for _ in range(len(self.later)):
            self.later.popleft()()

    def failed(self, connection: Connection) -> None:
        """A feed has ended it. Some owners close at once, some later."""
        if connection.prompt:
            connection.person.close()
        else:
            self.later.append(
                lambda: (
                    connection.person.close()
                    if connection.person.connection is connection
                    else None
                )
            )

    # Clients

    def subscribe(self) -> None:
        person, channel = self.pick(self.people), self.pick(self.busy)
        log, back = channel.log, self.pick(range(12))
        past = [event.position for events in log.past.values() for event in events]
        forms: dict[str, Since] = {
            "id": past[-back] if 0 < back <= len(past) else Position(log.epoch, 0),
            "latest": Latest(),
            "earliest": Earliest(),
            "last": Last(back + 1),
            "ahead": Position(log.epoch, log.tip + back + 1),
            "foreign": Position("other", back),
        }
        self.begin(
            person,
            channel,
            forms[
                self.pick(
                    [
                        "latest",
                        "latest",
                        "latest",
                        "id",
                        "id",
                        "earliest",
                        "last",
                        "ahead",
                        "foreign",
                    ]
                )
            ],
        )

    def resume(self) -> None:
        """Come back with every cursor."""
        person = self.pick(self.people)
        for channel, cursor in person.cursors.items():
            self.begin(person, channel, cursor)

    def begin(self, person: Person, channel: Channel, since: Since) -> None:
        if person.connection is None:
            person.connection = Connection(
                person,
                self.pick(self.bounds),
                self.later,
                self.failed,
                prompt=self.pick([True, False]),
            )
        connection = person.connection
        if channel in connection.subscriptions or connection.failed:
            return
        if channel.feed is None:
            channel.feed = Feed(channel.name, channel.kind, DeliveryCounters(), self.desk)
            channel.untold.clear()
            for _ in range(self.pick([0, 2, 2, 2, 1])):
                channel.open()
        line = channel.feed.continuity.delivered

        def started(subscriber: Subscriber, start: SubscriptionStart) -> None:
            self.check_start(channel, since, line, start)
            connection.write(
                LINES.message(
                    "subscribed", {"channel": channel.name, **start.as_dict()}, start.position
                )
            )

        filter_ = self.choose_filter()
        subscriber = Subscriber(channel.name, since, connection, started, filter_=filter_)
        promise = self.promise(channel, channel.feed, since, filter_)
        connection.subscriptions[channel] = subscriber, promise
        channel.feed.join(subscriber)

    def choose_filter(self) -> EventFilter | None:
        return None

    def promise(
        self, channel: Channel, feed: Feed, since: Since, filter_: EventFilter | None
    ) -> Promise:
        assert filter_ is None
        return Promise(channel, feed, since)

    def unsubscribe(self) -> None:
        connection, channel = self.pick(self.people).connection, self.pick(self.busy)
        if connection is not None and channel in connection.subscriptions:
            connection.leave(channel)

    def disconnect(self) -> None:
        self.pick(self.people).close()

    def consume(self) -> None:
        if (connection := self.pick(self.people).connection) is not None:
            connection.consume(self.pick([1, 3, 1000]))

    # What must hold

    def check_start(
        self, channel: Channel, since: Since, line: Position | None, start: SubscriptionStart
    ) -> None:
        match since:
            case Position():
                assert start.position == since
            case Latest():
                assert channel.feed is not None
                assert start.position == channel.feed.continuity.delivered
                assert line is None or channel.order(line) <= channel.order(start.position)
            case _:
                assert self.answering is not None
                assert self.answering.piece is not None
                assert start.position == self.answering.piece.start
                assert start.head == self.answering.piece.end
        assert start.recovered or isinstance(since, Position)
        assert not start.recovered or channel.order(start.position) <= channel.order(start.head)

    def check(self) -> None:
        under_way = Counter((read.feed, read.subscriber) for read in self.desk.reads)
        assert set(under_way.values()) <= {1}, "more than one read for a reader"
        for channel in self.channels:
            if (feed := channel.feed) is not None:
                _check_bounds(feed)
                assert not feed.live.due or feed in self.desk.unwritten, (
                    "pending events are forgotten"
                )
                # A reader that joined when all others had left may have dropped what waited: the
                # next part, which writes nothing, then says that there is room.
                assert not feed.behind or feed in self.desk.unwritten, "waits for what never comes"
                going_on = feed.behind or (feed, None) in under_way
                assert (
                    not channel.opened
                    or feed.continuity.delivered == feed.continuity.head
                    or going_on
                ), "a hole is forgotten"
        for person in self.people:
            if (connection := person.connection) is not None and not connection.notices:
                for subscriber, promise in connection.subscriptions.values():
                    feed = promise.feed
                    reading = (
                        feed.behind or (feed, subscriber) in under_way or (feed, None) in under_way
                    )
                    _check_state(connection, subscriber, promise, reading=reading)

    def come_to_rest(self) -> None:
        """Everything under way arrives, everybody reads: nothing may be missing then."""
        self.script.turn(b"")
        for _ in range(ROUNDS):
            for channel in self.channels:
                while channel.feed is not None and not channel.opened:
                    channel.open()
                channel.deliver(1000)
                if channel.owes_gap:
                    channel.gap()
            for read in list(self.desk.reads):
                self.finish(read, 3)
            self.flush()
            self.tick()
            for person in self.people:
                if person.connection is not None:
                    person.connection.consume(1000)
            self.check()
            if not self.desk.reads and not self.desk.unwritten and not self.later:
                break
        else:
            raise AssertionError("no rest: the feeds read without end")
        for channel in self.channels:
            assert (
                channel.feed is None
                or channel.feed.continuity.delivered
                == channel.feed.continuity.head
                == channel.log.end
            )
        for person in self.people:
            for subscriber, promise in (
                person.connection.subscriptions.values() if person.connection else ()
            ):
                assert subscriber.state is SubscriberState.LIVE
                promise.stands(promise.channel.log.end)


STEPS = {
    "nothing": 1, "publish": 2, "publish_and_deliver": 8, "deliver": 3, "open": 1, "look": 2,
    "answer": 6, "flush": 2, "slice": 6, "tick": 2, "subscribe": 4, "resume": 2, "unsubscribe": 1,
    "consume": 4,
}  # fmt: skip
TROUBLE = {
    "deliver_again": 1,
    "lose_announcement": 2,
    "gap": 1,
    "reconnect": 2,
    "trim": 1,
    "reset": 1,
    "disconnect": 1,
}


def _check_bounds(feed: Feed) -> None:
    size = sum(len(event.data) for event in feed.continuity.recent.events)
    assert size == feed.continuity.recent._size
    assert len(feed.continuity.recent.events) <= recent_module.RECENT_EVENTS
    assert size <= recent_module.RECENT_BYTES or len(feed.continuity.recent.events) == 1
    assert (
        len(feed._lagging.latest._kept) <= recent_module.KEYS
        if feed._lagging.subscribers
        else not feed._lagging.latest._kept
    )


def _check_state(
    connection: Connection, subscriber: Subscriber, promise: Promise, *, reading: bool
) -> None:
    """Who is not where it should be is being read for, or its writer will say when it can go on."""
    match subscriber.state:
        case SubscriberState.LIVE:
            assert not connection.full, "writes without bound"
        case SubscriberState.LAGGING:
            assert connection.full, "lags for ever"
        case SubscriberState.CATCHING_UP if (
            promise.channel.opened
            and promise.feed.continuity.delivered == promise.feed.continuity.head
        ):
            assert reading or connection.full, "held for ever"


def _position(text: str) -> Position:
    position = parse_since(text)
    assert isinstance(position, Position)
    return position


@pytest.fixture(autouse=True, scope="module")
def _bounds() -> Iterator[None]:
    """Worlds choose the feed's bounds; put them back."""
    bounds = [
        (recent_module, "RECENT_EVENTS"),
        (recent_module, "RECENT_BYTES"),
        (recent_module, "KEYS"),
        (fanout_module, "QUEUED_BYTES"),
    ]
    before = [getattr(module, name) for module, name in bounds]
    yield
    for (module, name), value in zip(bounds, before, strict=True):
        setattr(module, name, value)


@pytest.mark.timeout(0 if LONG else 120)
@settings(
    max_examples=100_000 if LONG else 600, deadline=None, suppress_health_check=list(HealthCheck)
)
@given(
    st.binary(min_size=20, max_size=20),
    st.lists(st.binary(min_size=8, max_size=8), min_size=20, max_size=140),
)
@example(
    bytes.fromhex("0000000100000000000000020000000000000000"),
    [
        *[bytes(8)] * 15,
        *map(bytes.fromhex, ("5300000000000001", "3500000100000000", "b701000003000000")),
        *map(bytes.fromhex, ("bd00000000000000", "e900000000000000")),
    ],
)
def test_every_reader_gets_what_the_protocol_promises(setting: bytes, steps: list[bytes]) -> None:
    script = Script()
    try:
        World(script).run(setting, steps)
    except Exception:
        note("\n".join(step for step in script.steps if step != "nothing "))
        raise
