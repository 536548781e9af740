"""One channel on one node: order, holes, live and held subscribers. No I/O: events and slices come in, bytes go out to writers.

The rules, all of them in this file:

1. `head` is the newest event announced, `line` the newest event given to the live subscribers. They differ only while a hole is mended
   or the live subscribers' queue has no room (rule 10).
2. An announcement at or before `head` is a duplicate: ignored. One whose `previous` is not `head` shows a hole.
3. A hole ends continuity: nothing is passed on until history has been read from `line` up to the run of announcements that came
   meanwhile (the `tail`, bounded). The broker's `gap` does, too, and leaves a doubt that only a page can end: an announcement proves
   that nothing is missing before it, not that nothing was lost behind it.
4. A subscriber that begins in the past is held: it reads history in pages, at its own pace, takes the rest from the tail and turns live
   at exactly `line`. `subscribed` comes before its first event.
5. Only a slice asked for after continuity last ended may say where the log ends (`generation`): an older one can predate lost
   announcements. A held reader that finds the log beyond or apart from `head` ends continuity, too.
6. Events that history no longer has are told as a gap, with both ends, to exactly those who miss them.
7. A live subscriber whose writer is full lags: `disconnect` closes it when there is more to send; `drop` and `latest` tell it what it
   missed when it has drained, and `latest` adds the newest event of each series.
8. What is due goes to those who were live when it was passed on (`delivery/fanout.py`); whoever is found full gets all of that before it lags.
9. Whatever goes wrong while one subscriber is served ends that one's connection (`_serve`, `broke`), and the others are served as ever. An
   event that cannot be encoded is told as a gap (`unreadable`).
10. Events are given to the live subscribers while their queue has room. Then the line stays behind `head`; once there is room again
    (`flushed`), it goes on from the tail, or from history where the tail no longer reaches back so far.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from eventhub.delivery.encoding import Encoding, gap_fields, joined
from eventhub.delivery.fanout import DeliveryCounters, Fanout
from eventhub.delivery.recent import LatestByKey, RecentEvents
from eventhub.delivery.subscriber import Subscriber, SubscriberState, SubscriptionStart
from eventhub.errors import EventHubError, SlowConsumer
from eventhub.events.channels import ChannelType, SlowReaderPolicy
from eventhub.events.event import (
    Age,
    Earliest,
    Event,
    Gap,
    HistoryPage,
    Last,
    Latest,
    Position,
    Since,
)


class FeedIO(Protocol):
    """What a feed asks of the hub. All return at once."""

    def read(
        self,
        feed: "Feed",
        subscriber: Subscriber | None,
        since: Position | Earliest | Last | Age,
        generation: int,
    ) -> None:
        """Read history and answer with `feed.page`, with the same arguments; never from inside this call."""
        ...

    def dirty(self, feed: "Feed") -> None:
        """Events are due: call `feed.live.advance`, from the end of this tick on, until it gives 0, and `feed.flushed` after each call."""
        ...

    def fell_behind(self, feed: "Feed") -> None:
        """Events wait until there is room for them. `flushed` ends it."""
        ...

    def began(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        """It is about to be told where it begins."""
        ...

    def missed(self, feed: "Feed", gap: Gap, subscriber: Subscriber | None, readers: int) -> None:
        """A gap was told to a subscriber, or to all who are live."""
        ...

    def fail(self, subscriber: Subscriber, error: EventHubError) -> None:
        """End the connection of a subscriber that is served no more, unless it leaves first; never from inside this call."""
        ...

    def broke(self, subscriber: Subscriber, error: Exception) -> None:
        """The same, for a fault that nobody foresaw. Does not raise."""
        ...

    def unwritable(self, feed: "Feed", event: Event, error: Exception) -> None:
        """An event could not be encoded. Does not raise."""
        ...


class Feed:
    """A channel with subscribers on this node."""

    __slots__ = (
        "_count",
        "_doubt",
        "_generation",
        "_held",
        "_io",
        "_lagging",
        "_newest",
        "_reading",
        "_tail",
        "behind",
        "channel",
        "counters",
        "head",
        "kind",
        "line",
        "live",
    )  # fmt: skip

    def __init__(
        self, channel: str, kind: ChannelType, counters: DeliveryCounters, io: FeedIO
    ) -> None:
        self.channel = channel
        self.kind = kind
        self.counters = counters
        self.head: Position | None = None
        self.line: Position | None = None
        self.live = Fanout(counters, self)
        self.behind = False
        """The line waits until the live subscribers' queue has room."""
        self._io = io
        self._generation = 0
        # the generation in which the broker said `gap`: only a page asked for since then ends the
        # doubt
        self._doubt = 0
        self._reading = False
        self._tail = RecentEvents()
        self._held: dict[Subscriber, None] = {}
        self._lagging: dict[Subscriber, None] = {}
        self._newest = LatestByKey()
        self._count = 0  # events given to the live set so far

    def __len__(self) -> int:
        return len(self._held) + len(self._lagging) + len(self.live)

    # Input: the broker

    def opened(self, position: Position) -> None:
        """The broker announces from now on what follows `position`."""
        self.line = position
        if self.head is None and self._generation == 0:  # no `gap` meanwhile
            self.head = position
        self._mend()

    def deliver(self, event: Event) -> None:
        """An announcement."""
        head = self.head
        known = head or self.line
        if known is not None and event.epoch == known.epoch:
            if event.offset <= known.offset:
                return
            if head is not None and event.previous == head.offset:
                whole = self.line == head and (self.live.has_room or self._has_room())
                self.head = event.position
                if self._held or not whole:
                    self._remember(event)
                elif self._tail.events:
                    # nobody needs it, and a tail that does not reach `head` would be a lie
                    self._tail.clear()
                if whole:
                    self._pass_on(event)
                return
        self._break()
        self.head = event.position
        self._remember(event)
        self._mend()

    def gap(self) -> None:
        """The broker, or a reader's page, shows that announcements may be missing."""
        self._break()
        self._doubt = self._generation
        self._mend()

    def page(
        self,
        subscriber: Subscriber | None,
        since: Position | Earliest | Last | Age,
        piece: HistoryPage,
        generation: int,
    ) -> None:
        """History that `read` asked for."""
        if subscriber is None:
            self._line_page(since, piece, generation)
        else:
            self._serve(partial(self._held_page, since, piece), subscriber)

    def flushed(self) -> None:
        """Some of what is queued has been written."""
        if self.behind and self.live.has_room:
            self.behind = False
            self._mend()

    # Input: subscribers

    def join(self, subscriber: Subscriber) -> None:
        """Begin to serve a new subscriber."""
        self._held[subscriber] = None
        self._serve(self._advance, subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Write nothing more to it. It may have left already."""
        subscriber.state = SubscriberState.GONE
        self._remove(subscriber)

    def congested(self, subscriber: Subscriber) -> None:
        """Its writer is full."""
        self._serve(self._lag, subscriber)

    def drained(self, subscriber: Subscriber) -> None:
        """Its writer has room again."""
        if subscriber.state is SubscriberState.LAGGING:
            self._serve(self._catch_up, subscriber)
        elif subscriber.state is SubscriberState.HELD:
            self._serve(self._advance, subscriber)

    @property
    def subscribers(self) -> list[Subscriber]:
        """All that it serves."""
        return [*self._held, *self._lagging, *self.live.keys()]

    # Faults

    def _serve(self, step: Callable[[Subscriber], None], subscriber: Subscriber) -> None:
        try:
            step(subscriber)
        except Exception as error:
            self.broke(subscriber, error)

    def broke(self, subscriber: Subscriber, error: Exception) -> None:
        """Fanout's owner: this one is served no more."""
        if subscriber.state is not SubscriberState.GONE:
            self.leave(subscriber)
            self._io.broke(subscriber, error)

    def unwritable(self, encoding: Encoding, event: Event, error: Exception) -> bytes:
        """Fanout's owner: the gap that stands for it."""
        self._io.unwritable(self, event, error)
        self.counters.gaps["unreadable"] += 1
        after = Position(event.epoch, event.previous)
        gap = Gap(after, Position(event.epoch, event.offset + 1), event.position, "unreadable")
        return self._message(encoding, "gap", gap_fields(gap), gap.position)

    # The line: what all live subscribers get

    def _pass_on(self, event: Event) -> None:
        self.line = event.position
        self._count += 1
        if self._lagging:
            self._pass_over(event)
        if self.live:
            idle = not self.live.due
            self.live.push(event)
            if idle:
                self._io.dirty(self)

    def _pass_on_all(self, events: Iterable[Event]) -> bool:
        """As many as there is room for. Whether all."""
        for event in events:
            if not self._has_room():
                return False
            self._pass_on(event)
        return True

    def _has_room(self) -> bool:
        if self.live.has_room:
            return True
        if not self.behind:
            self.behind = True
            self._io.fell_behind(self)
        return False

    def _break(self) -> None:
        self._generation += 1
        self.head = None
        self._tail.clear()

    def _mend(self) -> None:
        if self.line is None:
            return
        if self._covers(self.line):
            if not self._pass_on_all(self._tail.after(self.line)):
                return
            if not self._doubt:
                for subscriber in list(self._held):
                    self._serve(self._advance, subscriber)
                return
        if not self._reading and self._has_room():
            self._reading = True
            self._io.read(self, None, self.line, self._generation)

    def _line_page(self, since: Since, piece: HistoryPage, generation: int) -> None:
        self._reading = False
        if since == self.line:  # otherwise announcements moved it meanwhile
            if piece.lost:
                self._tell_gap(Gap.of(since, piece))
            if self._pass_on_all(piece.events):
                self.line = piece.reached
        if piece.reached == piece.end:
            if (
                generation == self._generation
                and self.line == piece.end
                and not self._covers(piece.end)
            ):
                self.head = piece.end
                self._tail.clear()
            if generation >= self._doubt and self._behind(piece.end):
                self._doubt = 0
        self._mend()

    def _tell_gap(self, gap: Gap) -> None:
        self.line = gap.position
        if self._lagging:
            self._pass_over(None)
        idle = not self.live.due
        told = self.live.tell(
            lambda encoding: self._message(encoding, "gap", gap_fields(gap), gap.position)
        )
        if told and idle:
            self._io.dirty(self)
        self.counters.gaps[gap.reason] += told
        self._io.missed(self, gap, None, told)

    # Held subscribers

    def _advance(self, subscriber: Subscriber) -> None:
        if subscriber.reading or subscriber.state is not SubscriberState.HELD or self.line is None:
            return None
        since = subscriber.since
        if subscriber.position is None and isinstance(since, Latest):
            self._start(subscriber, SubscriptionStart(self.line, self.line, recovered=True))
        if subscriber.position == self.line:
            return self._turn_live(subscriber)
        if self.line != self.head or subscriber.writer.full:
            return None  # `_mend` or `drained` comes back
        if subscriber.position is None and isinstance(since, Position) and self._covers(since):
            self._start(subscriber, SubscriptionStart(since, self.line, recovered=True))
        if subscriber.position is None or not self._covers(subscriber.position):
            subscriber.reading = True
            self._io.read(self, subscriber, subscriber.position or _asked(since), self._generation)
            return None
        missed = self._tail.after(subscriber.position)
        self._write_to(subscriber, self._joined(subscriber.writer.encoding, missed), len(missed))
        subscriber.position = self.line
        self._turn_live(subscriber)

    def _held_page(self, since: Since, piece: HistoryPage, subscriber: Subscriber) -> None:
        subscriber.reading = False
        if subscriber.state is not SubscriberState.HELD or subscriber.writer.full:
            return  # `drained` asks again: many pages may have been on their way to one writer
        if subscriber.position is None:
            begin = since if isinstance(since, Position) else piece.start
            self._start(
                subscriber, SubscriptionStart(begin, piece.end, recovered=piece.lost is None)
            )
        if piece.lost:
            self._tell(subscriber, Gap.of(since, piece))
        encoding = subscriber.writer.encoding
        self._write_to(
            subscriber, piece.joined(encoding, partial(self._joined, encoding)), len(piece.events)
        )
        subscriber.position = piece.reached
        if piece.reached == piece.end and self.line == self.head and not self._behind(piece.end):
            self.gap()
        self._advance(subscriber)

    def _start(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        subscriber.position = start.position
        if start.recovered and isinstance(subscriber.since, Position):
            self.counters.resumed += 1
        self._io.began(subscriber, start)
        started, subscriber.started = subscriber.started, None
        if started is not None:
            started(subscriber, start)

    def _turn_live(self, subscriber: Subscriber) -> None:
        self._remove(subscriber)
        subscriber.state = SubscriberState.LIVE
        self.live.add(subscriber, subscriber.writer.encoding, subscriber.writer.write)
        if subscriber.writer.full:
            self.congested(subscriber)

    # Lagging subscribers

    def _lag(self, subscriber: Subscriber) -> None:
        if subscriber.state is SubscriberState.LIVE:
            self.live.settle(subscriber, subscriber.writer.encoding)
        if subscriber.state is SubscriberState.LIVE:  # still: what was due could be written to it
            self._remove(subscriber)
            self._lagging[subscriber] = None
            subscriber.state, subscriber.position, subscriber.mark = (
                SubscriberState.LAGGING,
                self.line,
                self._count,
            )

    def _pass_over(self, event: Event | None) -> None:
        """The line moves on without those who lag: over `event`, or over a gap."""
        if self.kind.slow is SlowReaderPolicy.DISCONNECT:
            closing, self._lagging = self._lagging, {}
            self.counters.disconnected += len(closing)
            error = SlowConsumer(
                f"the connection's outgoing buffer is full and channel {self.channel!r} has more to send"
            )
            for subscriber in closing:
                subscriber.state = SubscriberState.GONE
                self._io.fail(subscriber, error)
        elif self.kind.slow is SlowReaderPolicy.LATEST and event is not None:
            self._newest.add(self.kind.series(event), self._count, event)

    def _catch_up(self, subscriber: Subscriber) -> None:
        position, line = subscriber.position, self.line
        assert position is not None  # it was live
        assert line is not None
        if position == line:
            return self._turn_live(subscriber)
        if self.kind.slow is SlowReaderPolicy.LATEST:
            return self._conflate(subscriber, position, line)
        skipped = self._count - subscriber.mark
        self._tell(
            subscriber, Gap(position, Position(line.epoch, line.offset + 1), line, "slow", skipped)
        )
        self._turn_live(subscriber)

    def _conflate(self, subscriber: Subscriber, position: Position, line: Position) -> None:
        survivors = self._newest.since(subscriber.mark)
        skipped = self._count - subscriber.mark - len(survivors)
        stands = position if survivors else line
        self._tell(
            subscriber,
            Gap(position, Position(line.epoch, line.offset + 1), stands, "conflated", skipped),
        )
        for count, event in survivors:
            self._write_to(subscriber, self._joined(subscriber.writer.encoding, (event,)), 1)
            subscriber.position, subscriber.mark = event.position, count
            if subscriber.writer.full:
                return  # the rest is conflated further
        self._turn_live(subscriber)

    # Helpers

    def _covers(self, position: Position) -> bool:
        """Every event after `position`, up to `head`, is in the tail.

        A position between two events is not of this log (a broker may leave offsets out where a log lost its end): history says `reset`.
        """
        head = self.head
        if head is None or position.epoch != head.epoch:
            return False
        return (
            self._tail.begins(position.offset)
            if self._tail.events
            else position.offset == head.offset
        )

    def _behind(self, position: Position) -> bool:
        return (
            self.head is not None
            and position.epoch == self.head.epoch
            and position.offset <= self.head.offset
        )

    def _remember(self, event: Event) -> None:
        self._generation += self._tail.add(
            event
        )  # a slice asked for before may end before what is left

    def _remove(self, subscriber: Subscriber) -> None:
        self.live.remove(subscriber, subscriber.writer.encoding)
        self._held.pop(subscriber, None)
        self._lagging.pop(subscriber, None)
        if not self._held and self.line == self.head:
            self._tail.clear()
        if not self._lagging:
            self._newest.clear()

    def _tell(self, subscriber: Subscriber, gap: Gap) -> None:
        writer = subscriber.writer
        writer.write(self._message(writer.encoding, "gap", gap_fields(gap), gap.position))
        self.counters.gaps[gap.reason] += 1
        self.counters.skipped[self.kind.slow] += gap.skipped or 0
        self._io.missed(self, gap, subscriber, 1)

    def _joined(self, encoding: Encoding, events: Iterable[Event]) -> bytes:
        return joined(encoding, events, self.unwritable)

    def _message(
        self, encoding: Encoding, kind: str, fields: dict[str, Any], position: Position
    ) -> bytes:
        return encoding.message(kind, {"channel": self.channel, **fields}, position)

    def _write_to(self, subscriber: Subscriber, events: bytes, count: int) -> None:
        if count:
            subscriber.writer.write(events)
            self.counters.delivered += count


def _asked(since: Since) -> Position | Earliest | Last | Age:
    assert not isinstance(since, Latest)  # begins at the line, needs no history
    return since
