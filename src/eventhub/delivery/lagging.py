"""Live subscribers whose writer is full. The channel type's policy says what happens to them.

Policy       An event passes             The writer has drained
disconnect   close the connection        -
drop         count it                    send a gap, turn live
latest       keep the newest of a key    send a gap, then the newest of each key, turn live

At a gap, those that are not closed read history again (`leave_at`): if the log was reset, and with
`latest` if events have expired. Else they would not be told that a key may have lost its newest.
"""

from collections.abc import Callable

from eventhub.delivery.continuity import Continuity
from eventhub.delivery.recent import LatestByKey
from eventhub.delivery.subscriber import Subscriber, SubscriberState
from eventhub.delivery.unicast import Unicast
from eventhub.errors import SlowConsumer
from eventhub.events.channel_types import SlowReaderPolicy
from eventhub.events.event import Event, Gap, Position


class LaggingSubscribers:
    """The subscribers of one channel in state LAGGING."""

    __slots__ = ("_continuity", "_turn_live", "_unicast", "latest", "subscribers")

    def __init__(
        self, continuity: Continuity, unicast: Unicast, turn_live: Callable[[Subscriber], None]
    ) -> None:
        self._continuity = continuity
        self._unicast = unicast
        self._turn_live = turn_live
        self.subscribers: dict[Subscriber, None] = {}
        self.latest = LatestByKey()

    def add(self, subscriber: Subscriber) -> None:
        """The subscriber's writer is full. Everything up to `delivered` was written to it."""
        self.subscribers[subscriber] = None
        subscriber.state = SubscriberState.LAGGING
        subscriber.position, subscriber.mark = (
            self._continuity.delivered,
            self._continuity.delivered_count,
        )

    def discard(self, subscriber: Subscriber) -> None:
        """The subscriber has turned live, or left."""
        self.subscribers.pop(subscriber, None)
        if not self.subscribers:
            self.latest.clear()

    def leave_at(self, gap: Gap) -> list[Subscriber]:
        """Those that lag no more after a gap. What was kept for them may be lost, or be old."""
        keeps_newest = self._unicast.channel_type.slow is SlowReaderPolicy.LATEST
        if gap.reason != "reset" and not keeps_newest:
            return []
        found, self.subscribers = list(self.subscribers), {}
        self.latest.clear()
        return found

    def skip(self, event: Event | None) -> None:
        """`delivered` moved past an event, or past a gap when `event` is None."""
        match self._unicast.channel_type.slow:
            case SlowReaderPolicy.DISCONNECT:
                self._disconnect_all(event)
            case SlowReaderPolicy.LATEST if event is not None:
                key = self._unicast.channel_type.conflation_key(event)
                self.latest.add(key, self._continuity.delivered_count, event)

    def catch_up(self, subscriber: Subscriber) -> None:
        """The subscriber's writer has room again: report what it missed, and let it turn live."""
        position, delivered = subscriber.position, self._continuity.delivered
        assert position is not None  # it was live
        assert delivered is not None
        if position == delivered:
            self._turn_live(subscriber)
        elif self._unicast.channel_type.slow is SlowReaderPolicy.DISCONNECT:
            # It has lagged on: its filter has left out everything since.
            assert subscriber.filtered is not None
            self._unicast.write_notice(subscriber)
            self._unicast.write_passed(subscriber, delivered)
            self._turn_live(subscriber)
        elif self._unicast.channel_type.slow is SlowReaderPolicy.LATEST:
            self._conflate(subscriber, position, delivered)
        else:
            skipped = self._continuity.delivered_count - subscriber.mark
            gap = Gap(position, _after(delivered), delivered, "slow", skipped)
            self._unicast.write_gap(subscriber, gap)
            self._turn_live(subscriber)

    def _disconnect_all(self, event: Event | None) -> None:
        """Close the connections of all that this event is for."""
        closing = [each for each in self.subscribers if event is None or self._wants(each, event)]
        for subscriber in closing:
            del self.subscribers[subscriber]
        self._unicast.counters.disconnected += len(closing)
        error = SlowConsumer(
            f"the connection's outgoing buffer is full and channel {self._unicast.channel!r} "
            "has more to send"
        )
        for subscriber in closing:
            subscriber.state = SubscriberState.GONE
            self._unicast.owner.fail(subscriber, error)

    def _wants(self, subscriber: Subscriber, event: Event) -> bool:
        return subscriber.filtered is None or self._unicast.wants(subscriber.filtered, event)

    def _conflate(self, subscriber: Subscriber, position: Position, delivered: Position) -> None:
        kept = self.latest.since(subscriber.mark)
        latest = [(count, event) for count, event in kept if self._wants(subscriber, event)]
        self._unicast.write_notice(subscriber)
        skipped = self._continuity.delivered_count - subscriber.mark - len(latest)
        stands = position if latest else delivered
        gap = Gap(position, _after(delivered), stands, "conflated", skipped)
        self._unicast.write_gap(subscriber, gap)
        for count, event in latest:
            self._unicast.write_events(subscriber, (event,))
            subscriber.position, subscriber.mark = event.position, count
            if subscriber.writer.full:
                return  # `catch_up` conflates the rest again
        self._turn_live(subscriber)


def _after(position: Position) -> Position:
    return Position(position.epoch, position.offset + 1)
