"""The subscriptions at one server: which are confirmed, how each push is handled. Awaits nothing.

A subscription is in one of these states:

| state         | next                                                                             |
|---------------|----------------------------------------------------------------------------------|
| requested     | the server confirms -> confirmed: `established` is set, or a gap is reported     |
| confirmed     | removed -> unsubscribing; ended by the server -> requested                       |
| unsubscribing | the server confirms the UNSUBSCRIBE -> gone                                      |

While a topic is unsubscribing, its messages and confirmations belong to the removed subscription.
They are ignored: a subscriber that has returned reads the log only after its own confirmation.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import structlog

from eventhub.brokers.redis.codec import PUBSUB, PubSub
from eventhub.brokers.redis.link import RedisLink, pack
from eventhub.brokers.redis.probe import AnnouncementProbe
from eventhub.brokers.redis.url import ServerAddress

log = structlog.get_logger("eventhub.brokers.redis")


class ShardSubscription:
    """A subscription to one channel, at whichever server has the channel.

    `on_announcement` gets what is published. `established` is set once a server first confirms.
    `began_at` is when the subscription began, in the loop's seconds. `commands` are those of its
    topic; None: those of all channels.
    """

    __slots__ = (
        "began_at",
        "channel",
        "commands",
        "confirmed",
        "established",
        "on_announcement",
        "topic",
    )

    def __init__(
        self,
        channel: str,
        topic: bytes,
        on_announcement: Callable[[bytes], None],
        commands: PubSub | None = None,
    ) -> None:
        self.channel = channel
        self.topic = topic
        self.on_announcement = on_announcement
        self.commands = commands
        self.confirmed = False
        self.established = asyncio.Event()
        self.began_at = asyncio.get_running_loop().time()


BIRTHS = "*births"
"""Stands for a channel in the subscription to births. No channel can have this name."""


class ShardOwner(Protocol):
    """The broker, as its shards see it. All methods return at once."""

    def born(self, channel: str, hearer: ServerAddress) -> None:
        """This channel had no retained events and stored one, as one server says."""
        ...

    def may_have_missed(self, channel: str) -> None:
        """Announcements of this channel may have been lost; they arrive again now.

        BIRTHS: births may have been lost, or may not have arrived before now.
        """
        ...

    def connection_changed(self) -> None:
        """A connection was made or lost."""
        ...

    def masters_may_have_changed(self) -> None:
        """Other servers may be the masters now."""
        ...


class ShardSubscriptions:
    """The subscriptions at one server, and the connection that they use while there is one."""

    def __init__(self, owner: ShardOwner, probe: AnnouncementProbe, commands: PubSub) -> None:
        self.refusal = ""
        """The server's last refusal of a subscription, for messages."""
        self._owner, self._probe, self._commands = owner, probe, commands
        self._link: RedisLink | None = None
        self._by_topic: dict[bytes, ShardSubscription] = {}
        self._unsubscribing: set[bytes] = set()  # those without a confirmation

    def add_births(self, topic: bytes, hearer: ServerAddress) -> None:
        """Hear of births, which `PUBLISH` announces even in a cluster."""
        births = ShardSubscription(
            BIRTHS, topic, lambda channel: self._owner.born(channel.decode(), hearer), PUBSUB
        )
        births.established.set()  # each confirmation is told
        self.add(births)

    def connected(self, link: RedisLink) -> None:
        """Subscribe to everything over a new connection."""
        self._link = link
        self._subscribe(self._by_topic)

    def disconnected(self) -> None:
        """The connection is lost: all subscriptions are only requested."""
        self._link = None
        self._unsubscribing.clear()
        for subscription in self._by_topic.values():
            subscription.confirmed = False

    def add(self, subscription: ShardSubscription) -> None:
        """Receive its announcements, from when `established` is set or a gap is reported."""
        subscription.confirmed = False
        self._by_topic[subscription.topic] = subscription
        self._subscribe([subscription.topic])

    def remove(self, subscription: ShardSubscription) -> None:
        """Stop receiving its announcements."""
        self._by_topic.pop(subscription.topic, None)
        if subscription.confirmed:  # otherwise the confirmation is answered with UNSUBSCRIBE
            self._unsubscribe(subscription.topic)

    def subscribe_again(self) -> None:
        """Repeat the requests that are not confirmed."""
        self._subscribe([topic for topic, found in self._by_topic.items() if not found.confirmed])

    def on_push(self, push: list[Any]) -> None:
        """Handle a push of the server."""
        kind, topic = push[0], push[1]
        if kind in (b"message", b"smessage"):
            self._on_message(topic, push[2])
        elif kind in (b"subscribe", b"ssubscribe"):
            if topic == self._probe.topic:
                self._probe.arrive()
            elif topic not in self._unsubscribing:
                self._on_confirmed(topic)
        elif kind == b"refused":
            self._on_refused(push[1])
        elif topic in self._unsubscribing:
            self._unsubscribing.remove(topic)
        elif (subscription := self._by_topic.get(topic)) is not None:
            subscription.confirmed = False  # the server ended it, because its slot moved
            self._owner.masters_may_have_changed()

    def _on_message(self, topic: bytes, data: bytes) -> None:
        if topic in self._unsubscribing:
            return
        if (subscription := self._by_topic.get(topic)) is None:
            self._probe.on_message(data)
            return
        try:
            subscription.on_announcement(data)
        except Exception as error:  # not sent by a node: report a gap, so that history is read
            log.warning(
                "unreadable_announcement",
                channel=subscription.channel,
                size=len(data),
                reason=type(error).__name__,
            )
            self._owner.may_have_missed(subscription.channel)

    def _on_confirmed(self, topic: bytes) -> None:
        if (subscription := self._by_topic.get(topic)) is None:
            self._unsubscribe(topic)
        elif not subscription.confirmed:
            subscription.confirmed = True
            if subscription.established.is_set():
                self._owner.may_have_missed(subscription.channel)
            else:
                subscription.established.set()

    def _on_refused(self, code: str) -> None:
        self.refusal = f"; subscribing was answered {code}"
        self._owner.masters_may_have_changed()
        if self._unsubscribing and self._link is not None:
            self._link.close(f"unsubscribing was answered {code}")

    def _subscribe(self, topics: Iterable[bytes]) -> None:
        """Send one command per topic.

        A command of a cluster must not name several slots, and a refusal concerns all its topics.
        """
        if self._link is not None:
            for topic in topics:
                commands = self._by_topic[topic].commands or self._commands
                self._link.write(pack(commands.subscribe, topic))

    def _unsubscribe(self, topic: bytes) -> None:
        if self._link is not None:
            self._unsubscribing.add(topic)
            self._link.write(pack(self._commands.unsubscribe, topic))
