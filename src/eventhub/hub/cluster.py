"""Messages between nodes through the broker: presence, and messages under topics."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from typing import Any

import structlog

from eventhub.brokers.base import Broker, OnMessage
from eventhub.common.faults import Faults
from eventhub.common.machine import Machine
from eventhub.common.token_bucket import TokenBucket
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import BrokerUnavailable, RateLimited
from eventhub.presence.counts import CountWatchers
from eventhub.presence.member_data import PresenceChange
from eventhub.presence.notifier import PresenceWatchers
from eventhub.presence.roster import Roster

PRESENCE_SECONDS = 0.25
"""Between two broadcasts of the members that joined and left here."""
BYTES_A_MILLISECOND = 8 * 1024
"""Broadcasts of members are paced, so that no broker and no other node is flooded."""
GATHER_SECONDS = 0.1
"""Changes of a channel are gathered for this long before they are sent to its watchers."""
TURN_SECONDS = 0.002
"""Time in one turn of the loop for sending to watchers, or for removing a lost node's members. The
channel or slice that has begun is finished.
"""
REST = 3
"""After sending to watchers, pause this many times as long as it took. So three quarters of the
core are left for other work.
"""

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OverflowError)
"""Errors that a message of another version, or of a foreign sender, may cause."""

log = structlog.get_logger("eventhub.nodes")


class Cluster:
    """The other nodes, as this node sees them. `attend` and `notify` must be running."""

    def __init__(
        self,
        broker: Broker,
        serving_failed: Callable[[Subscriber, Exception], None],
        faults: Faults,
        machine: Machine,
    ) -> None:
        self.own = machine.node
        """This node's id. Unique to this run of it."""
        self._broker = broker
        self._faults = faults
        self._monotonic = machine.monotonic
        self._roster = Roster(self.own)
        self._news = asyncio.Event()
        """Set while something is due to be sent to watchers."""
        self._watchers = PresenceWatchers(self._roster, self._news.set, serving_failed)
        self._counts = CountWatchers(self._roster, self._news.set, serving_failed)
        self._update_rates: dict[Subscriber, TokenBucket] = {}
        """Of subscribers that have updated their member."""
        self._listeners: dict[bytes, OnMessage] = {}

    # Messages

    @property
    def others(self) -> set[str]:
        """The ids of the other nodes that this node knows."""
        return self._roster.nodes

    def listen(self, topic: bytes, on_message: OnMessage) -> None:
        """Call `on_message` with every message of other nodes under a topic.

        It may raise any error that a message of an unknown sender can cause.
        """
        self._listeners[topic] = on_message

    async def broadcast(self, topic: bytes, body: bytes) -> None:
        """Send a message to all other nodes. It arrives at most once. Raises BrokerUnavailable."""
        await self._broker.broadcast(b"%b %b %b" % (topic, self.own.encode(), body))

    def on_message(self, message: bytes) -> None:
        """Take in a broadcast, perhaps this node's own. Does not raise."""
        changes: list[PresenceChange] = []
        try:
            if message.startswith(b"{"):
                changes = self._roster.on_message(message, self._milliseconds())
            else:
                self._pass_on(message)
        except UNREADABLE as error:
            log.warning("unreadable_broadcast", size=len(message), reason=type(error).__name__)
        except Exception as error:
            self._faults.note("broadcast", error, size=len(message))
        for change in changes:
            self._note(change)

    def _pass_on(self, message: bytes) -> None:
        topic, node, body = (*message.split(b" ", 2), b"", b"")[:3]
        on_message = self._listeners.get(topic)
        if on_message is not None and node != self.own.encode():
            on_message(body)

    # Presence

    def members(self, channel: str) -> list[str]:
        """Member ids, in the order of arrival."""
        return self._roster.members(channel)

    def listed(self, channel: str) -> list[tuple[str, bytes]]:
        """The members in the same order, each with its data as JSON, b"" for none."""
        return self._roster.listed(channel)

    def count(self, channel: str) -> int:
        """The number of members."""
        return self._roster.count(channel)

    def occupied(self) -> list[str]:
        """The channels with members."""
        return self._roster.channels()

    def join(self, subscriber: Subscriber, data: bytes = b"", time: int = 0) -> None:
        """The subscriber's member is present from now on, at `time` with this data (`update`)."""
        if subscriber.member:
            self._tell(self._roster.join(subscriber.channel, subscriber.member))
            if data:
                self.update(subscriber, data, time)

    def leave(self, subscriber: Subscriber) -> None:
        """A subscriber's member is no longer present, nor is its data."""
        self._update_rates.pop(subscriber, None)
        if subscriber.member:
            self._tell(self._roster.leave(subscriber.channel, subscriber.member, subscriber))

    def charge_update(self, subscriber: Subscriber, rate: float) -> None:
        """Count an update of a member that is about to be made. Raises RateLimited."""
        bucket = self._update_rates.setdefault(subscriber, TokenBucket(rate, 2 * rate))
        if wait := bucket.wait(now := self._monotonic() * 1000):
            raise RateLimited(
                f"more than {rate:g} updates per second of a member in {subscriber.channel!r} "
                "(limits.member_updates)",
                retry_after=wait,
            ).with_limit("member_updates")
        bucket.spend(1, now)

    def update(self, subscriber: Subscriber, data: bytes, time: int) -> None:
        """Replace the data of a subscriber's member at `time`, milliseconds since 1970."""
        place = subscriber.channel, subscriber.member
        self._tell(self._roster.set_data(place, subscriber, data, time))

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        """The members as message fields. Changes are written to the subscriber from now on."""
        return self._watchers.add(subscriber)

    def watch_count(self, subscriber: Subscriber) -> dict[str, Any]:
        """The number of members of a channel or pattern. Changes are written from now on."""
        return self._counts.add(subscriber)

    def drained(self, subscriber: Subscriber) -> None:
        """A subscriber's writer has room again."""
        self._watchers.drained(subscriber)
        self._counts.drained(subscriber)

    def unwatch(self, subscriber: Subscriber) -> None:
        """Tell a subscriber nothing more."""
        self._watchers.discard(subscriber)
        self._counts.discard(subscriber)

    async def attend(self) -> None:
        """Broadcast the changes of this node, and forget silent nodes, until cancelled."""
        while True:
            await asyncio.sleep(PRESENCE_SECONDS)
            with suppress(BrokerUnavailable):  # other nodes see the missing number, and ask
                for message in self._roster.messages(self._milliseconds()):
                    await self._broker.broadcast(message)
                    await asyncio.sleep(len(message) // BYTES_A_MILLISECOND / 1000)
            begin = self._monotonic()
            for change in self._roster.expire(self._milliseconds()):
                self._note(change)
                if self._monotonic() - begin > TURN_SECONDS:
                    await asyncio.sleep(0)
                    begin = self._monotonic()

    async def notify(self) -> None:
        """Tell watchers of changes, and leave most of the core free, until cancelled."""
        while True:
            if not (self._watchers.due or self._counts.due):
                self._news.clear()
                await self._news.wait()
            await asyncio.sleep(GATHER_SECONDS)
            try:
                await self._tell_watchers()
            except Exception as error:  # of one channel: the others go on
                self._faults.note("watchers", error)

    async def _tell_watchers(self) -> None:
        begin = self._monotonic()
        now = self._monotonic()
        for _ in chain(self._watchers.flush(now), self._counts.flush(now)):
            if (took := self._monotonic() - begin) > TURN_SECONDS:
                await asyncio.sleep(REST * took)
                begin = self._monotonic()

    def _tell(self, changes: list[PresenceChange]) -> None:
        for change in changes:
            self._watchers.on_change(change)
            self._counts.on_change(change)

    def _note(self, change: PresenceChange) -> None:
        """A member elsewhere has changed. An error must not end the broker's task."""
        try:
            self._tell([change])
        except Exception as error:
            self._faults.note("presence", error, channel=change.channel)

    def _milliseconds(self) -> int:
        return int(self._monotonic() * 1000)
