"""One channel on one node: which subscriber gets which event, in which order. No I/O.

Events and pages of history come in, bytes go out to writers. Two tables say what happens.

The channel. `head` is the newest event announced, `delivered` the newest event given to the live
subscribers. The state follows from them:

    State    It holds that             The next event  Gap or hole  Page             Room again
    OPENING  `delivered` is None       remember it     -> OPENING   -                -
    CURRENT  `delivered` is `head`     deliver it      -> READING   -                -
    READING  a page is being read      remember it     -> READING   deliver it       -
    BEHIND   the live queue is full    remember it     -> BEHIND    deliver a part   see below

A gap, a hole, a page, room and the broker's start end in `_resume`. If the recent events begin
early enough, it delivers them: -> CURRENT. Otherwise it asks for the next page: -> READING.

Each subscriber (subscriber.py):

    State        Where it is kept   Ends when
    CATCHING_UP  catching_up.py     it stands at exactly `delivered`: LIVE
    LIVE         fanout.py          its writer is full: LAGGING
    LAGGING      lagging.py         its writer has drained: LIVE
                                    a gap ends what it may be told (lagging.py): CATCHING_UP
                                    the policy closes its connection: GONE
    GONE         nowhere            never

The rules:

1. An announcement at or before `head` is a duplicate and is ignored. One whose `previous` is not
   `head` shows a hole.
2. A hole, or the broker's `gap`, ends continuity: events are delivered only after history has been
   read from `delivered` up to the recent announcements.
3. After the broker's `gap` the feed is unverified until a page requested after the gap has been
   read. An announcement proves that nothing before it is missing, not that nothing came after it.
4. Only a page asked for after continuity last ended may say where the log ends (`generation`).
5. Subscribers that need events which history no longer has get a gap, with both ends.
6. `subscribed` comes before the first event of a subscription.
7. If a full subscriber has queued events, they are written to it first. Then it lags.
8. An audience (pattern_audience.py) stands at `delivered`: it is told before `delivered` moves.
9. An error while one subscriber is served closes that connection only (`_serve`,
   `serving_failed`). An event that cannot be encoded is sent as a gap.
"""

from collections.abc import Callable, Iterable
from functools import partial

from eventhub.delivery.audience import Audience, Audiences, JointRoom
from eventhub.delivery.catching_up import CatchingUpSubscribers
from eventhub.delivery.continuity import Continuity
from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.encoding import Encoding
from eventhub.delivery.fanout import Fanout
from eventhub.delivery.feed_owner import FeedOwner
from eventhub.delivery.filtering import Selected
from eventhub.delivery.lagging import LaggingSubscribers
from eventhub.delivery.subscriber import Subscriber, SubscriberState
from eventhub.delivery.unicast import Unicast
from eventhub.events.channel_types import ChannelType
from eventhub.events.event import Event, Gap, HistoryPage, Position, Since, Start


class Feed:
    """A channel with subscribers on this node."""

    __slots__ = (
        "_catching_up", "_lagging", "_owner", "_reading", "_room", "_unicast", "audiences",
        "behind", "channel", "channel_type", "continuity", "live",
    )  # fmt: skip

    def __init__(
        self,
        channel: str,
        channel_type: ChannelType,
        counters: DeliveryCounters,
        owner: FeedOwner["Feed"],
    ) -> None:
        self.channel = channel
        self.channel_type = channel_type
        self.continuity = Continuity()
        self.live = Fanout(counters, self)
        self.audiences = Audiences[Feed]()
        self._room: Fanout | JointRoom = self.live
        self.behind = False
        """Events wait until the queue of the live subscribers has room."""
        self._owner = owner
        self._reading = False  # a page for the live subscribers is being read
        self._unicast = Unicast(channel, channel_type, counters, owner)
        self._catching_up = CatchingUpSubscribers(self.continuity, self._unicast, self)
        self._lagging = LaggingSubscribers(self.continuity, self._unicast, self.turn_live)

    def __len__(self) -> int:
        return len(self._catching_up.subscribers) + len(self._lagging.subscribers) + len(self.live)

    @property
    def subscribers(self) -> list[Subscriber]:
        """All subscribers, in any state."""
        return [*self._catching_up.subscribers, *self._lagging.subscribers, *self.live.keys()]

    # Input: the broker and history

    def opened(self, position: Position, begin: Position | None = None) -> None:
        """The broker announces every event after `position`. Delivery starts there, or earlier."""
        self.continuity.open(position, begin)
        self.audiences.opened(self)
        self._resume()

    def deliver(self, event: Event) -> None:
        """Take an announcement."""
        continuity = self.continuity
        if continuity.follows(event):
            ready = continuity.delivered == continuity.head and (
                self._room.has_room or self._has_room()
            )
            position = continuity.head = event.position
            if not ready or self._catching_up.subscribers:
                continuity.remember(event)
            elif continuity.recent.events:
                continuity.recent.clear()  # this event is not added, so the list would have a hole
            if ready:
                self._deliver_live(event, position)
        elif not continuity.has(event):
            continuity.restart(event)
            self._resume()

    def gap(self) -> None:
        """The broker, or a subscriber's page, shows that announcements may be missing."""
        self.continuity.end()
        self.continuity.unverified_since = self.continuity.generation
        self._resume()

    def page(
        self,
        subscriber: Subscriber | None,
        since: Start,
        page: HistoryPage,
        generation: int,
    ) -> None:
        """Take a page of history that `FeedOwner.read` was asked for."""
        if subscriber is not None:
            take = partial(self._catching_up.page, since=since, page=page, generation=generation)
            self._serve(take, subscriber)
            return
        self._reading = False
        if since == self.continuity.delivered:  # otherwise announcements moved it in the meantime
            self._deliver_page(since, page)
        self.continuity.verify(page, generation)
        self._resume()

    def flushed(self) -> None:
        """Some of the queue of the live subscribers, or of an audience, has been written."""
        if self.behind and self._has_room():
            self.behind = False
            self._resume()

    # Input: subscribers

    def join(self, subscriber: Subscriber) -> None:
        """Serve a new subscriber."""
        self._catching_up.subscribers[subscriber] = None
        self._serve(self._catching_up.advance, subscriber)

    def join_at_delivered(self, subscriber: Subscriber) -> None:
        """Serve a new subscriber that an audience has given everything up to `delivered`."""
        (self._lagging.add if subscriber.writer.full else self._go_live)(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Write nothing more to a subscriber. It may have left already."""
        subscriber.state = SubscriberState.GONE
        self._remove(subscriber)

    def congested(self, subscriber: Subscriber) -> None:
        """A subscriber's writer is full."""
        self._serve(self._lag, subscriber)

    def drained(self, subscriber: Subscriber) -> None:
        """A subscriber's writer has room again."""
        if subscriber.state is SubscriberState.LAGGING:
            self._serve(self._lagging.catch_up, subscriber)
        elif subscriber.state is SubscriberState.CATCHING_UP:
            self._serve(self._catching_up.advance, subscriber)

    def turn_live(self, subscriber: Subscriber) -> None:
        """A subscriber stands at `delivered`: it gets every event from now on."""
        self._remove(subscriber)
        self._go_live(subscriber)
        if not subscriber.stays():
            self.leave(subscriber)
        elif subscriber.writer.full:
            self.congested(subscriber)

    def attach(self, audiences: Iterable[Audience["Feed"]]) -> None:
        """Deliver to these audiences from now on, and to no other ones."""
        self.audiences = Audiences(audiences)
        self._room = JointRoom(self.live, self.audiences) if self.audiences else self.live

    def read(self, subscriber: Subscriber, since: Start) -> None:
        self._owner.read(self, subscriber, since, self.continuity.generation)

    # Errors, also of `live`

    def serving_failed(self, subscriber: Subscriber, error: Exception) -> None:
        if subscriber.state is not SubscriberState.GONE:
            self.leave(subscriber)
            self._owner.serving_failed(subscriber, error)

    def replacement_for(self, encoding: Encoding, event: Event, error: Exception) -> bytes:
        return self._unicast.replacement_for(encoding, event, error)

    def filtered(self, found: Selected, readers: int) -> None:
        self._unicast.counters.delivered += len(found.matched) * readers
        self._unicast.counters.filter_failures += len(found.failed)

    def _serve(self, step: Callable[[Subscriber], None], subscriber: Subscriber) -> None:
        try:
            step(subscriber)
        except Exception as error:
            self.serving_failed(subscriber, error)

    # Delivery to the live subscribers

    def _resume(self) -> None:
        """Deliver waiting events, or ask for the missing history."""
        continuity = self.continuity
        if continuity.delivered is None:
            return
        if continuity.covers(continuity.delivered):
            self._deliver_while_room(continuity.recent.after(continuity.delivered))
            if not continuity.unverified_since:
                for subscriber in list(self._catching_up.subscribers):
                    self._serve(self._catching_up.advance, subscriber)
                return
        if not self._reading and self._has_room():
            self._reading = True
            self._owner.read(self, None, continuity.delivered, continuity.generation)

    def _deliver_live(self, event: Event, position: Position) -> None:
        continuity = self.continuity
        if self.audiences:
            self.audiences.deliver(self, event)
        continuity.delivered = position
        continuity.delivered_count += 1
        if self._lagging.subscribers:
            self._lagging.skip(event)
        if self.live:
            idle = not self.live.due
            self.live.push(event)
            if idle:
                self._owner.has_writes(self)

    def _deliver_while_room(self, events: Iterable[Event]) -> None:
        for event in events:
            if not self._has_room():
                return
            self._deliver_live(event, event.position)

    def _deliver_page(self, since: Since, page: HistoryPage) -> None:
        if page.lost:
            self._deliver_gap(Gap.of(since, page))
        self._deliver_while_room(page.events)

    def _deliver_gap(self, gap: Gap) -> None:
        readers = self.audiences.deliver_gap(self, gap)
        self.continuity.delivered = gap.position
        self._lagging.skip(None)
        for subscriber in self._lagging.leave_at(gap):
            self._catching_up.add_again(subscriber)
        idle = not self.live.due
        if (own := self.live.broadcast(partial(self._unicast.gap_message, gap=gap))) and idle:
            self._owner.has_writes(self)
        readers += own
        self._unicast.counters.gaps[gap.reason] += readers
        self._owner.missed(self.channel, gap, None, readers)

    def _has_room(self) -> bool:
        if self._room.has_room:
            return True
        self.audiences.fell_behind(self)
        if not self.behind:
            self.behind = True
            self._owner.fell_behind(self)
        return False

    # A subscriber's state

    def _go_live(self, subscriber: Subscriber) -> None:
        subscriber.state = SubscriberState.LIVE
        self.live.add(subscriber, subscriber.encoding, subscriber.writer.write)

    def _lag(self, subscriber: Subscriber) -> None:
        if subscriber.state is SubscriberState.LIVE:
            self.live.settle(subscriber, subscriber.encoding)
        if subscriber.state is SubscriberState.LIVE:  # the writes of `settle` did not fail
            self._remove(subscriber)
            self._lagging.add(subscriber)

    def _remove(self, subscriber: Subscriber) -> None:
        self.live.remove(subscriber, subscriber.encoding)
        self._catching_up.discard(subscriber)
        self._lagging.discard(subscriber)
