"""The broker contract. One contract suite (tests/contract) runs over every broker, without exceptions for any."""

from collections.abc import Callable, Sequence
from typing import Protocol

from eventhub.errors import EventHubError
from eventhub.events.event import (
    Age,
    Earliest,
    Event,
    HistoryPage,
    Last,
    NewEvent,
    Position,
    Receipt,
)

Deliver = Callable[[Event], None]
OnGap = Callable[[str], None]
OnMessage = Callable[[bytes], None]


class Broker(Protocol):
    """Store and announce events, and carry messages between nodes.

    Positions strictly increase per channel; an epoch exists even for an empty channel.
    """

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        """Store and announce each event, atomically per event and in the given order; one result an event.

        A known idempotency key stores nothing and gives the first receipt, or IdempotencyConflict when the data differs,
        which names the first event unless that is still being stored.
        Raises BrokerUnavailable, within seconds, when nothing is known about any of them: they may be stored or not, and a retry with the
        same keys stores each once. Cancelled, it leaves the same doubt, and other calls undisturbed.
        """
        ...

    async def history(
        self, channel: str, since: Position | Earliest | Last | Age, limit: int
    ) -> HistoryPage:
        """At most `limit` events after `since`, fewer when they are large, but at least one unless the end is reached.

        What is beyond retention is never shown, deleted or not. A position that was never given in this log is `reset`, wherever it is.
        An age goes by the events' times, which nodes' clocks gave them. After one was set back, the
        page may hold older events, or leave younger ones out; but whatever follows the newest event
        that is too old is in it. The cost depends on the page, not on what is retained. In a channel
        without events a position may be given as another one that nothing stands between. Raises
        BrokerUnavailable.
        """
        ...

    async def subscribe(self, channel: str) -> Position:
        """Announce the channel's events to this node from now on; the position they will follow. Raises BrokerUnavailable."""
        ...

    async def unsubscribe(self, channel: str) -> None:
        """Stop announcing. Announcements under way may still come."""
        ...

    async def broadcast(self, message: bytes) -> None:
        """Give up to 256 KiB to all other nodes on this broker, in order and at most once: it may be lost. Raises BrokerUnavailable."""
        ...

    async def run(self, deliver: Deliver, gap: OnGap, hear: OnMessage) -> None:
        """Announce until cancelled. Never gives up quietly; reconnects by itself.

        `deliver` is called in channel order. The first announcement after offsets may have been lost names a `previous` that is no event's:
        every reader then asks history. Where continuity cannot be vouched for, `gap(channel)` is called after announcing works again, so
        that history read afterwards and the announcements that follow leave no hole. `hear` gets what nodes broadcast; where there
        can be several, this one's own as well, which shows it that it hears. All three are synchronous and do not raise; none is called
        once this is being cancelled.
        """
        ...

    def unready(self) -> str | None:
        """Why this broker cannot serve now, or None."""
        ...
