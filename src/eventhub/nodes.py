"""What nodes tell one another through the broker: who is present, and messages under topics."""

import asyncio
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog

from eventhub.brokers.base import Broker, Hear
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.faults import Faults
from eventhub.presence import Change, Roster
from eventhub.subscriber import Subscriber
from eventhub.watchers import Watchers

PRESENCE_SECONDS = 0.25
"""Between two messages to other nodes about who came and went here."""
CROWD_TICKS = 4
"""Of these: how often the watchers of a crowd are told how large it is."""

UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OverflowError)
"""What reading a message raises that is of another version, or of no node at all."""

log = structlog.get_logger("eventhub.nodes")


class Nodes:
    """This node among the others. `attend` must be running; `fail` ends a connection, but not from inside the call."""

    def __init__(self, broker: Broker, fail: Callable[[Subscriber, EventHubError], None], faults: Faults) -> None:
        self.own = secrets.token_hex(4)
        """This node's id, unique to this run of it."""
        self._broker = broker
        self._faults = faults
        self._roster = Roster(self.own)
        self._watchers = Watchers(self._roster, fail)
        self._listeners: dict[bytes, Hear] = {}

    # Messages

    @property
    def others(self) -> set[str]:
        """The ids of the other nodes that are there, as far as this one knows."""
        return self._roster.nodes

    def listen(self, topic: bytes, hear: Hear) -> None:
        """Give `hear` what other nodes tell under this topic. It may raise anything that a stranger's message can cause."""
        self._listeners[topic] = hear

    async def tell(self, topic: bytes, body: bytes) -> None:
        """Tell all other nodes, at most once: it may be lost. Raises BrokerUnavailable."""
        await self._broker.broadcast(b"%b %b %b" % (topic, self.own.encode(), body))

    def hear(self, message: bytes) -> None:
        """What the broker brings, this node's own messages among it. Raises nothing: it is called in the broker's task."""
        changes: list[Change] = []
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
            self._watchers.tell(Change(subscriber.channel, subscriber.member, joined=True))

    def leave(self, subscriber: Subscriber) -> None:
        """It is present no more."""
        if subscriber.member and self._roster.leave(subscriber.channel, subscriber.member):
            self._watchers.tell(Change(subscriber.channel, subscriber.member, joined=False))

    def state(self, channel: str) -> dict[str, Any]:
        """Its members as message fields."""
        return self._watchers.state(channel)

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        """The same for its channel; what changes is written to it from now on."""
        return self._watchers.add(subscriber)

    def unwatch(self, subscriber: Subscriber) -> None:
        """Tell it nothing more."""
        self._watchers.discard(subscriber)

    async def attend(self) -> None:
        """Tell the others who came and went here, and watchers who has gone with a node that is silent; until cancelled."""
        ticks = 0
        while True:
            await asyncio.sleep(PRESENCE_SECONDS)
            with suppress(BrokerUnavailable):  # other nodes see by the numbers that they missed something, and ask
                for message in self._roster.messages(_elapsed()):
                    await self._broker.broadcast(message)
            for change in self._roster.expire(_elapsed()):
                self._note(change)
            ticks += 1
            if ticks % CROWD_TICKS == 0:
                for _ in self._watchers.tell_crowds():
                    await asyncio.sleep(0)

    def _note(self, change: Change) -> None:
        """Of a member elsewhere. An error of ours shall cost the broker's task nothing."""
        try:
            self._watchers.tell(change)
        except Exception as error:
            self._faults.note("presence", error, channel=change.channel)


def _elapsed() -> int:
    """Milliseconds on a clock that is never set."""
    return time.monotonic_ns() // 1_000_000
