"""The broker contract. One contract suite (tests/contract) runs over every broker.

No broker is excepted from any test of it.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import EventHubError
from eventhub.events.event import (
    ChannelPage,
    Event,
    HistoryPage,
    NewEvent,
    NewEvents,
    Position,
    Receipt,
    Receipts,
    Start,
)
from eventhub.events.signal import Signal

PAGE_BYTES = 256 * 1024
"""A page of history ends with the event that makes its data this large or larger."""
BIRTH_SECONDS = 5
"""Time between two births of a channel that retains nothing, and so is in no list of channels."""

Deliver = Callable[[Event], None]
OnGap = Callable[[str], None]
OnMessage = Callable[[bytes], None]
OnBirth = Callable[[str | None], None]
OnSignal = Callable[[Signal], None]
OnStored = Callable[[Sequence[Receipt | EventHubError] | Exception | None], None]


def no_signals(signal: Signal) -> None:
    """The `on_signal` of a broker before its owner has set one."""


class Broker(Protocol):
    """Store and announce events, and carry messages between nodes.

    Positions strictly increase per channel. An epoch exists even for an empty channel.
    """

    @property
    def offset_step(self) -> int:
        """What offsets are multiples of, apart from a remainder that tells logs apart.

        The multiple at or below the offset before an event is a position that `history` takes, and
        that no event separates from this one.
        """
        ...

    on_signal: OnSignal
    """Gets the signals of subscribed channels while `run` runs, and does not raise. The owner sets
    it before `run`.
    """

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        """Store and announce each event; one result per event.

        Each event is stored and announced atomically, in the given order. An event with a known
        idempotency key is not stored: its result is the first event's receipt, or
        IdempotencyConflict when the data differs. The conflict names the first event, unless that
        is still being stored.

        Raises BrokerUnavailable, within seconds, when no result is known: each event may be stored
        or not. A retry with the same keys stores each event once. After a cancelled call, too, each
        event may be stored or not. Other calls are not affected.
        """
        ...

    @property
    def publish_now(self) -> Callable[[NewEvent], Receipt | EventHubError] | None:
        """As `publish`, for one event and without waiting; None for a broker that has to wait."""
        ...

    @property
    def publish_all_now(
        self,
    ) -> Callable[[NewEvents], Receipts | Sequence[EventHubError]] | None:
        """As `publish_now`, for the events of an array: all are stored, or none."""
        ...

    @property
    def publish_later(self) -> Callable[[Sequence[NewEvent], OnStored], bool] | None:
        """As `publish`, without a task; None for a broker that does not wait.

        The function is called once, in a later turn of the loop: with what `publish` returns, or
        with the error that it raises. None: nothing is stored, and `publish` may try again. False:
        these events need more steps. Nothing has happened then, and nothing is called.
        """
        ...

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        """At most `limit` events after `since`: fewer when they are large, but at least one.

        Only at the channel's end is the page empty. Events beyond retention are never returned,
        whether or not they have been deleted. A position that this log never gave is answered with
        `reset`, even inside the log's range. In a channel without events, a position may be
        answered with a different but equivalent one: no event lies between the two.

        An `Age` compares the events' times, which come from the clocks of nodes. After a clock was
        set back, the page may hold older events or leave out younger ones, but it always holds
        every event after the newest one that is too old.

        The cost depends on the size of the page, not on how much is retained.
        Raises BrokerUnavailable.
        """
        ...

    async def channels(self, pattern: ChannelPattern, after: str, limit: int) -> ChannelPage:
        """The channels of all nodes that have retained events and whose names fit.

        In order of their names, those after `after`, at most `limit`. A page may have fewer even
        if others follow: only a `next` of None is the end. A channel that is born or expires while
        pages are read may be in the list or not; every other one is there once.
        Raises BrokerUnavailable.
        """
        ...

    async def subscribe(self, channel: str) -> Position:
        """Start announcing the channel's events to this node.

        Returns the position that the first announcement will follow. Raises BrokerUnavailable.
        After an error, the channel is announced only if it was before.
        """
        ...

    async def unsubscribe(self, channel: str) -> None:
        """Stop announcing. Announcements already under way may still arrive."""
        ...

    async def broadcast(self, message: bytes) -> None:
        """Send up to 256 KiB to every other node on this broker, in order and at most once.

        The message may be lost. Raises BrokerUnavailable.
        """
        ...

    def signal(self, signal: Signal) -> None:
        """Give a signal to all nodes that subscribe to its channel, this one included.

        It is stored nowhere, arrives at most once, and may be lost. It has no place in the order
        of events; the signals of one node arrive in their order. Never waits, and holds a bounded
        number: raises BrokerUnavailable if there is no connection, or no room.
        """
        ...

    async def run(self, deliver: Deliver, gap: OnGap, on_message: OnMessage, born: OnBirth) -> None:
        """Announce until cancelled. It reconnects by itself and never gives up silently.

        `deliver` is called in channel order. After offsets may have been lost, the first
        announcement names a `previous` that belongs to no event, so every reader asks history.

        `gap(channel)` is called when continuity is not certain, once announcing works again:
        history read after the call, together with the announcements that follow, is complete.

        `on_message` receives the broadcasts of nodes. A broker that several nodes can share also
        delivers a node's own broadcasts, which proves to the node that it receives messages.

        `born(channel)` is called on every node, subscribed or not, when a channel that had no
        retained events stores one: about the time of its announcement, before it or after. In a
        channel that retains nothing, it is called for the first event and then at most once in
        BIRTH_SECONDS. It may be called twice, for a channel that is not new, and for one whose type
        only other nodes declare. `born(None)`: births may have been missed, for example while there
        was no connection. It is called at the start, too. The channels that `channels` lists after
        the call, together with the births that follow, are complete.

        All four are synchronous and do not raise. None is called once `run` is being cancelled.
        """
        ...

    def unready(self) -> str | None:
        """Why this broker cannot serve now; None when it can."""
        ...
