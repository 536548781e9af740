"""What nodes tell one another through the broker: who is present, and messages under topics."""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from eventhub.brokers.base import Broker, OnMessage
from eventhub.common.faults import Faults
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import BrokerUnavailable
from eventhub.presence.notifier import PresenceWatchers
from eventhub.presence.roster import PresenceChange, Roster

PRESENCE_SECONDS = 0.25
"""Between two messages to other nodes about who came and went here."""
GATHER_SECONDS = 0.1
"""For so long what changes in a channel is gathered, before its watchers are told."""
TURN_SECONDS = 0.002
"""Of telling watchers, or of forgetting a lost node's members, in one turn of the loop, and
whatever one channel or slice takes.
"""
REST = 3
"""So many times as long as telling took it rests: others have three quarters of the core, however
many come and go.
"""

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OverflowError)
"""What reading a message raises that is of another version, or of no node at all."""

log = structlog.get_logger("eventhub.nodes")


class Cluster:
    """This node among the others. `attend` and `notify` must be running."""

    def __init__(
        self, broker: Broker, broke: Callable[[Subscriber, Exception], None], faults: Faults
    ) -> None:
        self.own = secrets.token_hex(4)
        """This node's id, unique to this run of it."""
        self._broker = broker
        self._faults = faults
        self._roster = Roster(self.own)
        self._news = asyncio.Event()
        """Watchers are to be told something."""
        self._watchers = PresenceWatchers(self._roster, self._news.set, broke)
        self._listeners: dict[bytes, OnMessage] = {}

    # Messages

    @property
    def others(self) -> set[str]:
        """The ids of the other nodes that are there, as far as this one knows."""
        return self._roster.nodes

    def listen(self, topic: bytes, hear: OnMessage) -> None:
        """Give `hear` what other nodes tell under this topic. It may raise anything that a stranger's message can cause."""
        self._listeners[topic] = hear

    async def tell(self, topic: bytes, body: bytes) -> None:
        """Tell all other nodes, at most once: it may be lost. Raises BrokerUnavailable."""
        await self._broker.broadcast(b"%b %b %b" % (topic, self.own.encode(), body))

    def hear(self, message: bytes) -> None:
        """What the broker brings, this node's own messages among it. Raises nothing: it is called in the broker's task."""
        changes: list[PresenceChange] = []
        try:
            if message.startswith(b"{"):
                changes = self._roster.hear(message, _elapsed())
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
        hear = self._listeners.get(topic)
        if hear is not None and node != self.own.encode():
            hear(body)

    # Presence

    def members(self, channel: str) -> list[str]:
        """Ids, in the order of arrival."""
        return self._roster.members(channel)

    def join(self, subscriber: Subscriber) -> None:
        """It is present in its channel from now on."""
        if subscriber.member and self._roster.join(subscriber.channel, subscriber.member):
            self._watchers.tell(PresenceChange(subscriber.channel, subscriber.member, joined=True))

    def leave(self, subscriber: Subscriber) -> None:
        """It is present no more."""
        if subscriber.member and self._roster.leave(subscriber.channel, subscriber.member):
            self._watchers.tell(PresenceChange(subscriber.channel, subscriber.member, joined=False))

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        """The members of its channel as message fields; what changes is written to it from now on."""
        return self._watchers.add(subscriber)

    def drained(self, subscriber: Subscriber) -> None:
        """Its writer has room again."""
        self._watchers.drained(subscriber)

    def unwatch(self, subscriber: Subscriber) -> None:
        """Tell it nothing more."""
        self._watchers.discard(subscriber)

    async def attend(self) -> None:
        """Tell the others who came and went here, and find out who has gone with a node that is silent; until cancelled."""
        while True:
            await asyncio.sleep(PRESENCE_SECONDS)
            with suppress(
                BrokerUnavailable
            ):  # other nodes see by the numbers that they missed something, and ask
                for message in self._roster.messages(_elapsed()):
                    await self._broker.broadcast(message)
                    await asyncio.sleep(
                        0
                    )  # a broker in this process has not let others have their turn
            begin = time.perf_counter()
            for change in self._roster.expire(_elapsed()):
                self._note(change)
                if time.perf_counter() - begin > TURN_SECONDS:
                    await asyncio.sleep(0)
                    begin = time.perf_counter()

    async def notify(self) -> None:
        """Tell watchers what has changed, at a pace that leaves others most of the core; until cancelled."""
        while True:
            if not self._watchers.due:
                self._news.clear()
                await self._news.wait()
            await asyncio.sleep(GATHER_SECONDS)
            try:
                await self._tell_watchers()
            except Exception as error:  # in one channel: the others go on
                self._faults.note("watchers", error)

    async def _tell_watchers(self) -> None:
        begin = time.perf_counter()
        for _ in self._watchers.flush(time.monotonic()):
            if (took := time.perf_counter() - begin) > TURN_SECONDS:
                await asyncio.sleep(REST * took)
                begin = time.perf_counter()

    def _note(self, change: PresenceChange) -> None:
        """Of a member elsewhere. An error of ours shall cost the broker's task nothing."""
        try:
            self._watchers.tell(change)
        except Exception as error:
            self._faults.note("presence", error, channel=change.channel)


def _elapsed() -> int:
    """Milliseconds on a clock that is never set."""
    return time.monotonic_ns() // 1_000_000
