"""brokers/redis/subscriptions.py: requested, confirmed, unsubscribing; and who is told of a gap."""

import asyncio
from typing import Any

from eventhub.brokers.redis.codec import PUBSUB, SHARDED_PUBSUB, PubSub
from eventhub.brokers.redis.link import RedisLink, pack
from eventhub.brokers.redis.probe import AnnouncementProbe
from eventhub.brokers.redis.subscriptions import ShardSubscription, ShardSubscriptions
from eventhub.brokers.redis.url import ServerAddress
from tests.harness.loop import in_loop
from tests.harness.transport import RecordedTransport


class Owner:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.gaps: list[str] = []
        self.doubts = 0

    def born(self, channel: str, hearer: ServerAddress) -> None:
        raise AssertionError(channel)

    def may_have_missed(self, channel: str) -> None:
        self.gaps.append(channel)

    def masters_may_have_changed(self) -> None:
        self.doubts += 1

    def connection_changed(self) -> None:
        raise AssertionError


class Server:
    """Subscriptions at a server, which a test answers for."""

    def __init__(self, commands: PubSub = PUBSUB) -> None:
        self.owner = Owner()
        self.probe = AnnouncementProbe()
        self.all = ShardSubscriptions(self.owner, self.probe, commands)
        self.taken: list[bytes] = []
        self.wire = RecordedTransport()
        self.link: RedisLink

    def connect(self) -> None:
        self.wire = RecordedTransport()
        self.link = RedisLink(self.all.on_push)
        self.link.connection_made(self.wire)
        self.all.connected(self.link)

    def add(self, topic: bytes = b"t") -> ShardSubscription:
        subscription = ShardSubscription(f"many.{topic.decode()}", topic, self.taken.append)
        self.all.add(subscription)
        return subscription

    def push(self, kind: bytes, topic: bytes = b"t", last: object = 1) -> None:
        self.all.on_push([kind, topic, last])

    async def sent(self) -> bytes:
        """What was written since it was last looked at."""
        await asyncio.sleep(0)
        written, self.wire.writes = self.wire.written, []
        return written


SUBSCRIBE, UNSUBSCRIBE = pack("SUBSCRIBE", b"t"), pack("UNSUBSCRIBE", b"t")


@in_loop
async def test_a_subscription_is_requested_at_once_or_with_the_connection() -> None:
    server = Server()
    early = server.add()
    server.connect()
    assert await server.sent() == SUBSCRIBE
    assert (early.confirmed, early.established.is_set()) == (False, False)
    server.add(b"u")
    assert await server.sent() == pack("SUBSCRIBE", b"u")
    server.push(b"subscribe")
    assert (early.confirmed, early.established.is_set()) == (True, True)
    server.push(b"message", last=b"1")
    assert (server.taken, server.owner.gaps) == ([b"1"], [])


@in_loop
async def test_a_subscription_that_is_confirmed_again_may_have_missed_something() -> None:
    """The last event before a reconnect is followed by no other: nothing else would show it."""
    server = Server()
    server.add()
    server.connect()
    server.push(b"subscribe")
    server.push(b"subscribe")
    assert server.owner.gaps == [], "it was confirmed already"
    server.all.disconnected()
    assert server.owner.gaps == [], "not before announcements arrive again"
    server.connect()
    assert await server.sent() == SUBSCRIBE
    server.push(b"subscribe")
    assert server.owner.gaps == ["many.t"]


@in_loop
async def test_without_a_connection_nothing_is_confirmed_or_sent() -> None:
    server = Server()
    first, second = server.add(), server.add(b"u")
    server.connect()
    server.push(b"subscribe")
    await server.sent()
    server.all.disconnected()
    assert not first.confirmed
    server.all.subscribe_again()
    server.all.remove(second)
    assert await server.sent() == b""
    server.connect()
    assert await server.sent() == SUBSCRIBE


@in_loop
async def test_a_subscription_that_comes_from_another_server_is_not_confirmed_here() -> None:
    server = Server()
    moved = server.add()
    server.connect()
    server.push(b"subscribe")
    elsewhere = Server()
    elsewhere.connect()
    elsewhere.all.add(moved)
    assert not moved.confirmed
    elsewhere.push(b"subscribe")
    assert elsewhere.owner.gaps == ["many.t"]


@in_loop
async def test_a_confirmed_subscription_is_ended_and_announces_nothing_more() -> None:
    server = Server()
    subscription = server.add()
    server.connect()
    server.push(b"subscribe")
    await server.sent()
    server.all.remove(subscription)
    assert await server.sent() == UNSUBSCRIBE
    server.push(b"message", last=b"late")
    server.push(b"unsubscribe", last=0)
    server.push(b"message", last=b"later")
    assert server.taken == []
    server.all.subscribe_again()
    assert await server.sent() == b""


@in_loop
async def test_a_subscription_that_ends_before_its_confirmation_is_ended_then() -> None:
    server = Server()
    subscription = server.add()
    server.connect()
    server.all.remove(subscription)
    assert await server.sent() == SUBSCRIBE
    server.push(b"subscribe")
    assert await server.sent() == UNSUBSCRIBE
    assert not subscription.established.is_set()


@in_loop
async def test_whoever_comes_back_is_confirmed_after_the_unsubscribing() -> None:
    server = Server()
    server.connect()
    first = server.add()
    server.push(b"subscribe")
    server.all.remove(first)
    last = server.add()
    server.push(b"subscribe")
    assert not last.confirmed
    server.push(b"unsubscribe", last=0)
    server.push(b"subscribe")
    server.push(b"message", last=b"after")
    assert (last.confirmed, server.taken) == (True, [b"after"])
    server.push(b"unsubscribe", last=0)
    assert not last.confirmed, "one that was not asked for"


@in_loop
async def test_a_new_connection_waits_for_no_unsubscribing_of_the_old_one() -> None:
    server = Server()
    gone = server.add()
    server.connect()
    server.push(b"subscribe")
    server.all.remove(gone)
    server.all.disconnected()
    back = server.add()
    server.connect()
    server.push(b"subscribe")
    assert back.confirmed


@in_loop
async def test_a_subscription_that_the_server_ends_is_requested_again() -> None:
    server = Server(SHARDED_PUBSUB)
    subscription = server.add()
    server.connect()
    server.push(b"ssubscribe")
    await server.sent()
    server.push(b"sunsubscribe", b"another", 0)
    assert (subscription.confirmed, server.owner.doubts) == (True, 0)
    server.push(b"sunsubscribe", last=0)
    assert (subscription.confirmed, server.owner.doubts) == (False, 1)
    server.all.subscribe_again()
    assert await server.sent() == pack("SSUBSCRIBE", b"t")
    server.push(b"ssubscribe")
    server.push(b"smessage", last=b"1")
    assert (server.owner.gaps, server.taken) == (["many.t"], [b"1"])


@in_loop
async def test_an_announcement_that_cannot_be_read_is_a_gap() -> None:
    server = Server()
    subscription = server.add()
    subscription.on_announcement = lambda data: [][0]
    server.connect()
    server.push(b"subscribe")
    server.push(b"message", last=b"rubbish")
    assert server.owner.gaps == ["many.t"]


@in_loop
async def test_a_refused_subscription_is_told_and_puts_the_masters_in_doubt() -> None:
    server = Server()
    server.add()
    server.connect()
    assert server.all.refusal == ""
    server.all.on_push([b"refused", "NOPERM"])
    assert server.all.refusal == "; subscribing was answered NOPERM"
    assert (server.owner.doubts, server.wire.aborted) == (1, False)


@in_loop
async def test_a_refusal_while_unsubscribing_ends_the_connection() -> None:
    """It may be the answer to the UNSUBSCRIBE, whose confirmation would be waited for."""
    server = Server()
    subscription = server.add()
    server.connect()
    server.push(b"subscribe")
    server.all.remove(subscription)
    server.all.on_push([b"refused", "MOVED"])
    assert str(server.link.lost.result()) == "unsubscribing was answered MOVED"


@in_loop
async def test_a_probe_is_awaited_once() -> None:
    probe = AnnouncementProbe()
    probe.arrive()
    probe.on_message(b"0")
    first = probe.expect()
    probe.on_message(b"1")
    assert not first.done()
    probe.on_message(b"0")
    probe.on_message(b"0")
    assert first.done()
    assert not probe.expect().done()


@in_loop
async def test_a_subscription_knows_when_it_began() -> None:
    subscription = ShardSubscription("many.t", b"t", print)
    assert 0 <= asyncio.get_running_loop().time() - subscription.began_at < 60


def test_pushes_of_the_probe_reach_it_and_no_subscription() -> None:
    async def main() -> None:
        server = Server()
        server.connect()
        server.probe.topic = b"probe"
        arrival: Any = server.probe.expect()
        server.push(b"subscribe", b"t")
        assert not arrival.done()
        server.push(b"subscribe", b"probe")
        assert arrival.done()
        assert await server.sent() == UNSUBSCRIBE

    asyncio.run(main())
