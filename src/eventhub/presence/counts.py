"""Tells subscribers how many members a channel, or all channels of a pattern, have.

A change makes its channel due. When a message is sent, the numbers of the channels that are due are
read from the roster, so that the sum cannot drift. All subscribers of one channel or pattern get
the same message, at most once in COUNT_SECONDS. If a writer is full, it gets the message later.
"""

from collections.abc import Callable, Iterator
from typing import Any

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.pattern_index import PatternIndex
from eventhub.delivery.bulk_write import write_all
from eventhub.delivery.encoding import Encoding
from eventhub.delivery.subscriber import Subscriber
from eventhub.presence.member_data import PresenceChange
from eventhub.presence.notifier import SLICE
from eventhub.presence.roster import Roster

COUNT_SECONDS = 1.0


class Counted:
    """One channel or pattern whose members are counted."""

    __slots__ = ("_counts", "_roster", "behind", "changed", "last_told", "pattern", "total",
                 "watching")  # fmt: skip

    def __init__(self, pattern: ChannelPattern, roster: Roster) -> None:
        self.pattern = pattern
        self.watching: dict[Subscriber, None] = {}
        self.behind: dict[Subscriber, None] = {}
        """Those who do not know `total` yet, because their writers were full."""
        self.last_told = 0.0
        self.changed = set(filter(pattern.covers, roster.channels()))
        """Channels whose number may have changed since `total`."""
        self.total = 0
        self._counts: dict[str, int] = {}
        self._roster = roster

    def update(self) -> bool:
        """Count again. Returns whether the total has changed."""
        before = self.total
        for channel in self.changed:
            count = self._roster.count(channel)
            self.total += count - self._counts.pop(channel, 0)
            if count:
                self._counts[channel] = count
        self.changed.clear()
        return self.total != before


class CountWatchers:
    """The subscribers that asked for the number of members, by channel or pattern.

    `wake` and `serving_failed` are as in `PresenceWatchers`.
    """

    def __init__(
        self,
        roster: Roster,
        wake: Callable[[], None],
        serving_failed: Callable[[Subscriber, Exception], None],
    ) -> None:
        self._roster = roster
        self._wake = wake
        self._serving_failed = serving_failed
        self._counted: dict[str, Counted] = {}
        self._by_channel = PatternIndex[Counted]()
        self._due: dict[Counted, None] = {}

    def add(self, subscriber: Subscriber) -> dict[str, Any]:
        """Tell a subscriber of changes from now on. Returns the number as a message field."""
        if (counted := self._counted.get(subscriber.channel)) is None:
            counted = Counted(ChannelPattern(subscriber.channel), self._roster)
            self._counted[subscriber.channel] = counted
            self._by_channel.add(counted.pattern, counted)
            counted.update()
        counted.watching[subscriber] = None
        return {"count": counted.total}

    def discard(self, subscriber: Subscriber) -> None:
        """Tell a subscriber nothing more. It may not be here."""
        if (counted := self._counted.get(subscriber.channel)) is None:
            return
        counted.watching.pop(subscriber, None)  # a write that failed has removed it before
        counted.behind.pop(subscriber, None)
        if not counted.watching:
            del self._counted[subscriber.channel]
            self._due.pop(counted, None)
            self._by_channel.discard(counted.pattern)

    def drained(self, subscriber: Subscriber) -> None:
        """A subscriber's writer has room again."""
        counted = self._counted.get(subscriber.channel)
        if counted is not None and subscriber in counted.behind:
            self._wake_for(counted)

    def on_change(self, change: PresenceChange) -> None:
        """A member joined, left or changed."""
        if not self._counted or (change.before is None) == (change.after is None):
            return
        for counted in self._by_channel.covering(change.channel):
            counted.changed.add(change.channel)
            self._wake_for(counted)

    @property
    def due(self) -> bool:
        """Whether `flush` has something to send."""
        return bool(self._due)

    def flush(self, now: float) -> Iterator[None]:
        """Send what is due at `now` in seconds. Pauses after every SLICE subscribers."""
        for counted in list(self._due):
            if counted not in self._due or now < counted.last_told + COUNT_SECONDS:
                continue  # the last subscriber has left, or they were told a moment ago
            del self._due[counted]
            counted.last_told = now
            changed = counted.update()
            yield from self._tell(counted, list(counted.watching if changed else counted.behind))

    def _tell(self, counted: Counted, subscribers: list[Subscriber]) -> Iterator[None]:
        fields = {"channel": counted.pattern.text, "count": counted.total}
        for begin in range(0, len(subscribers), SLICE):
            ready: dict[Encoding, list[Subscriber]] = {}
            for subscriber in subscribers[begin : begin + SLICE]:
                if subscriber not in counted.watching:
                    continue
                if subscriber.writer.full:
                    counted.behind[subscriber] = None
                    continue
                counted.behind.pop(subscriber, None)
                ready.setdefault(subscriber.writer.encoding, []).append(subscriber)
            for encoding, readers in ready.items():
                self._write(counted, readers, encoding.message("presence", fields))
            yield

    def _write(self, counted: Counted, readers: list[Subscriber], message: bytes) -> None:
        for failed, error in write_all([each.writer.write for each in readers], message) or ():
            for subscriber in readers:
                if subscriber.writer.write == failed and subscriber in counted.watching:
                    counted.watching.pop(subscriber)
                    self._serving_failed(subscriber, error)

    def _wake_for(self, counted: Counted) -> None:
        self._due[counted] = None
        self._wake()
