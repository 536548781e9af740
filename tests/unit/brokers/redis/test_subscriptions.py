"""brokers/redis/subscriptions.py: pushes of a server, and what they confirm."""

import asyncio
from typing import Any

from eventhub.brokers.redis.codec import (
    PUBSUB,
)
from eventhub.brokers.redis.link import RedisLink
from eventhub.brokers.redis.probe import AnnouncementProbe
from eventhub.brokers.redis.subscriptions import ShardSubscription, ShardSubscriptions
from eventhub.brokers.redis.url import ServerAddress
from tests.harness.transport import RecordedTransport
from tests.unit.brokers.redis.links import on_a_link


class Owner:
    """Nothing here moves."""

    def born(self, channel: str, hearer: ServerAddress) -> None:
        raise AssertionError(channel)

    def may_have_missed(self, channel: str) -> None:
        raise AssertionError(channel)

    def connection_changed(self) -> None:
        raise AssertionError

    masters_may_have_changed = connection_changed


def test_what_was_published_before_leaving_is_not_announced_after_coming_back() -> None:
    async def scenario(link: RedisLink, wire: RecordedTransport, pushed: list[Any]) -> None:
        subscriptions = ShardSubscriptions(Owner(), AnnouncementProbe(), PUBSUB)
        subscriptions.connected(link)
        taken: list[bytes] = []
        for _ in range(2):
            subscription = ShardSubscription("many.a", b"t", taken.append)
            subscriptions.add(subscription)
            subscriptions.on_push([b"subscribe", b"t", 1])
            if (
                not subscription.established.is_set()
            ):  # the second time: the answer to the first UNSUBSCRIBE is still to come
                subscriptions.on_push([b"message", b"t", b"before"])
                subscriptions.on_push([b"unsubscribe", b"t", 0])
                subscriptions.on_push([b"subscribe", b"t", 1])
                subscriptions.on_push([b"message", b"t", b"after"])
            else:
                subscriptions.remove(subscription)
        assert taken == [b"after"]

    on_a_link(scenario)


def test_a_probe_arrives_on_its_own_topic_only() -> None:
    async def scenario(link: RedisLink, wire: RecordedTransport, pushed: list[Any]) -> None:
        probe = AnnouncementProbe()
        subscriptions = ShardSubscriptions(Owner(), probe, PUBSUB)
        subscriptions.connected(link)
        probe.topic = b"probe"
        confirmation = probe.expect()
        subscriptions.on_push([b"subscribe", b"probe", 1])
        assert confirmation.done()
        probe.number = 7
        arrival = probe.expect()
        subscriptions.on_push([b"message", b"probe", b"6"])
        assert not arrival.done()
        subscriptions.on_push([b"message", b"probe", b"7"])
        assert arrival.done()

    on_a_link(scenario)


def test_what_is_not_confirmed_is_requested_again() -> None:
    async def scenario(link: RedisLink, wire: RecordedTransport, pushed: list[Any]) -> None:
        subscriptions = ShardSubscriptions(Owner(), AnnouncementProbe(), PUBSUB)
        subscriptions.connected(link)
        for topic in (b"t", b"u"):
            subscriptions.add(ShardSubscription("many.a", topic, pushed.append))
        subscriptions.on_push([b"subscribe", b"t", 1])
        await asyncio.sleep(0)
        wire.writes.clear()
        subscriptions.subscribe_again()
        await asyncio.sleep(0)
        assert wire.written == b"*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nu\r\n"

    on_a_link(scenario)
