"""Subscribers that began in the past and read history, at their own pace, until they can turn live.

Where the subscriber is                        Next step
reading                                        wait for the page
the feed is OPENING                            wait
position unknown, `since` is `latest`          start at `delivered`
position is `delivered`                        turn live
the feed is not current, or the writer full    wait
position unknown, recent events cover `since`  start there
the recent events cover its position           write them, turn live
otherwise                                      read the next page

`since` is `state`: pages have the newest event of each key (brokers/states.py), and a subscriber
that has read up to a position stands there as any other does. Its next page is of the state, too,
so that a log that has lost what came in between makes no gap.

One that waits goes on when `Feed._resume` or `Feed.drained` calls `advance` again.
"""

from typing import Protocol

from eventhub.delivery.continuity import Continuity
from eventhub.delivery.subscriber import Subscriber, SubscriberState, SubscriptionStart
from eventhub.delivery.unicast import Unicast
from eventhub.events.event import Gap, HistoryPage, Latest, Since, Start, State, asked_position


class CatchingUpOwner(Protocol):
    """The feed."""

    def read(self, subscriber: Subscriber, since: Start) -> None:
        """Read a page of history for a subscriber."""
        ...

    def turn_live(self, subscriber: Subscriber) -> None:
        """The subscriber stands at `delivered`."""
        ...

    def gap(self) -> None:
        """A page shows that announcements may be missing."""
        ...


class CatchingUpSubscribers:
    """The subscribers of one channel in state CATCHING_UP."""

    __slots__ = ("_continuity", "_owner", "_unicast", "subscribers")

    def __init__(self, continuity: Continuity, unicast: Unicast, owner: CatchingUpOwner) -> None:
        self._continuity = continuity
        self._unicast = unicast
        self._owner = owner
        self.subscribers: dict[Subscriber, None] = {}

    def add_again(self, subscriber: Subscriber) -> None:
        """A gap came while it lagged. Once its writer has room, history tells what is left.

        Its position may be of a part that is not lost.
        """
        assert subscriber.position is not None  # it was live
        subscriber.state = SubscriberState.CATCHING_UP
        subscriber.since = subscriber.position
        self.subscribers[subscriber] = None

    def discard(self, subscriber: Subscriber) -> None:
        """It has turned live or left. After the last one, recent events are not needed."""
        self.subscribers.pop(subscriber, None)
        if not self.subscribers and self._continuity.is_current:
            self._continuity.recent.clear()

    def advance(self, subscriber: Subscriber) -> None:
        """Take a subscriber's next step, as in the table above."""
        continuity, since = self._continuity, subscriber.since
        if subscriber.reading or continuity.delivered is None:
            return
        if isinstance(since, Latest):
            self._start(
                subscriber,
                SubscriptionStart(continuity.delivered, continuity.delivered, recovered=True),
            )
        if subscriber.position == continuity.delivered:
            self._owner.turn_live(subscriber)
            return
        if not continuity.is_current or subscriber.writer.full:
            return
        asked = asked_position(since)
        if subscriber.position is None and asked is not None and continuity.covers(asked):
            self._start(subscriber, SubscriptionStart(asked, continuity.delivered, recovered=True))
        if subscriber.position is None or not continuity.covers(subscriber.position):
            subscriber.reading = True
            self._owner.read(subscriber, _next_page(subscriber, since))
            return
        self._unicast.write_events(subscriber, continuity.recent.after(subscriber.position))
        self._owner.turn_live(subscriber)

    def page(
        self, subscriber: Subscriber, since: Since, page: HistoryPage, generation: int
    ) -> None:
        """Write a page of history to a subscriber, and take its next step."""
        subscriber.reading = False
        if subscriber.state is not SubscriberState.CATCHING_UP or subscriber.writer.full:
            return  # several pages may have come for one writer; `drained` asks again
        if subscriber.position is None:
            position = asked_position(since) or page.start
            start = SubscriptionStart(position, page.end, recovered=page.lost is None)
            self._start(subscriber, start)
        if page.lost:
            self._unicast.write_gap(subscriber, Gap.of(since, page))
        self._unicast.write_page(subscriber, page)
        subscriber.position = page.reached
        if page.following is not None:
            subscriber.since = page.following
        if page.reached == page.end and self._ends_elsewhere(page, generation):
            self._owner.gap()
        self.advance(subscriber)

    def _ends_elsewhere(self, page: HistoryPage, generation: int) -> bool:
        """Whether the log does not end where the announcements did.

        It goes further, or has lost its end: without this, a subscriber that stands at the new end
        would read empty pages in a loop. A page with events may be old, and says nothing of that.
        """
        continuity = self._continuity
        if not continuity.is_current or continuity.covers(page.end):
            return False
        empty_now = not page.events and generation == continuity.generation
        return empty_now or not continuity.reaches(page.end)

    def _start(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        subscriber.position = start.position
        if start.recovered and asked_position(subscriber.since) is not None:
            self._unicast.counters.resumed += 1
        if isinstance(subscriber.since, State):
            self._unicast.counters.states += 1
        self._unicast.owner.began(subscriber, start)
        started, subscriber.started = subscriber.started, None
        assert started is not None  # a subscription starts once
        started(subscriber, start)


def _next_page(subscriber: Subscriber, since: Since) -> Start:
    assert not isinstance(since, Latest)  # it begins at `delivered` and needs no history
    return since if isinstance(since, State) else subscriber.position or since
