"""Which channels this node subscribes to at the broker, and when their feeds open."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from eventhub.common.faults import Faults, internal
from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.feed import Feed
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import Position
from eventhub.hub.announcements import RETRY_SECONDS, Announcements
from eventhub.hub.tasks import Tasks
from tests.harness.builders import FeedDesk, channel_type
from tests.harness.virtual_time import in_virtual_time, turns

CHANNEL = "chat.a"
UNSUBSCRIBED, FIRST, SECOND = "unsubscribe", Position("e", 1), Position("e", 2)


class Broker:
    """A broker that answers when a test says so. `calls` are those made so far."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._answers: list[asyncio.Future[Position]] = []

    async def subscribe(self, channel: str) -> Position:
        return await self._call("subscribe", channel)

    async def unsubscribe(self, channel: str) -> None:
        await self._call("unsubscribe", channel)

    def _call(self, name: str, channel: str) -> Awaitable[Position]:
        assert channel == CHANNEL
        self.calls.append(name)
        self._answers.append(asyncio.get_running_loop().create_future())
        return self._answers[-1]

    async def answer(self, outcome: Position | Exception = FIRST) -> None:
        """Answer the oldest call."""
        if isinstance(outcome, Exception):
            self._answers.pop(0).set_exception(outcome)
        else:
            self._answers.pop(0).set_result(outcome)
        await turns()


class Node:
    """The announcements of one channel, whose feed a test sets."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.broker = Broker()
        self.faults = Faults()
        self.tasks = Tasks(self.faults)
        self.tasks.group = group
        self.feed: Feed | None = None
        self.failed: list[str] = []
        self.announcements = Announcements(
            self.broker,  # type: ignore[arg-type]  # as much of a broker as is asked
            self.tasks,
            self._feed_of,
            self.failed.append,
        )

    def _feed_of(self, channel: str) -> Feed | None:
        assert channel == CHANNEL
        return self.feed

    def new_feed(self) -> Feed:
        self.feed = Feed(CHANNEL, channel_type(), DeliveryCounters(), FeedDesk())
        return self.feed

    async def change(self, feed: Feed | None) -> None:
        """The channel has this feed from now on."""
        self.feed = feed
        self.announcements.update(CHANNEL)
        await turns()

    async def subscribed(self) -> Feed:
        """A feed that is open."""
        feed = self.new_feed()
        await self.change(feed)
        await self.broker.answer()
        return feed


def scenario(test: Callable[[Node], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    """Run a test with a node. The test fails if work is left at its end."""

    @in_virtual_time
    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            node = Node(group)
            await test(node)
            assert node.announcements.settled

    return run


@scenario
async def test_a_channel_with_a_new_feed_is_subscribed_and_the_feed_opened(node: Node) -> None:
    feed = node.new_feed()
    await node.change(feed)
    assert node.broker.calls == ["subscribe"]
    assert not node.announcements.settled
    assert (feed.continuity.delivered, node.announcements.channels) == (None, set())
    await node.broker.answer(FIRST)
    assert (feed.continuity.delivered, node.announcements.channels) == (FIRST, {CHANNEL})
    assert node.failed == []


@scenario
async def test_a_channel_without_a_feed_is_unsubscribed(node: Node) -> None:
    await node.subscribed()
    await node.change(None)
    assert node.broker.calls == ["subscribe", "unsubscribe"]
    assert node.announcements.channels == {CHANNEL}
    await node.broker.answer()
    assert node.announcements.channels == set()


@scenario
async def test_for_a_channel_that_needs_nothing_the_broker_is_not_asked(node: Node) -> None:
    await node.change(None)
    assert node.broker.calls == []


@scenario
async def test_changes_during_a_call_wait_for_its_answer(node: Node) -> None:
    await node.change(node.new_feed())
    await node.change(node.feed)
    assert node.broker.calls == ["subscribe"]
    await node.broker.answer()
    assert node.broker.calls == ["subscribe"]


@scenario
async def test_a_feed_that_replaces_another_is_opened_by_a_subscription_of_its_own(
    node: Node,
) -> None:
    old = node.new_feed()
    await node.change(old)
    new = node.new_feed()
    await node.change(new)
    await node.broker.answer(FIRST)
    assert new.continuity.delivered is None, "it may have missed what came before it"
    await node.broker.answer(SECOND)
    assert new.continuity.delivered == SECOND
    assert node.broker.calls == ["subscribe", "subscribe"]


@scenario
async def test_a_feed_that_went_while_it_was_subscribed_is_unsubscribed(node: Node) -> None:
    await node.change(node.new_feed())
    await node.change(None)
    await node.broker.answer()
    assert node.broker.calls == ["subscribe", "unsubscribe"]
    await node.broker.answer()
    assert node.announcements.channels == set()


@scenario
async def test_a_feed_that_comes_while_the_channel_is_unsubscribed_is_subscribed(
    node: Node,
) -> None:
    await node.subscribed()
    await node.change(None)
    feed = node.new_feed()
    await node.change(feed)
    await node.broker.answer()
    await node.broker.answer(SECOND)
    assert node.broker.calls == ["subscribe", "unsubscribe", "subscribe"]
    assert feed.continuity.delivered == SECOND


@scenario
async def test_an_unavailable_broker_is_asked_again_after_a_moment(node: Node) -> None:
    loop = asyncio.get_running_loop()
    feed = node.new_feed()
    await node.change(feed)
    begin = loop.time()
    for number in (1, 2):
        await node.broker.answer(BrokerUnavailable("away"))
        assert len(node.broker.calls) == number
        await asyncio.sleep(RETRY_SECONDS)
        await turns()
        assert len(node.broker.calls) == number + 1
    assert loop.time() - begin == 2 * RETRY_SECONDS
    await node.broker.answer(FIRST)
    assert feed.continuity.delivered == FIRST


@scenario
async def test_a_channel_is_unsubscribed_once_the_broker_is_available_again(node: Node) -> None:
    await node.subscribed()
    await node.change(None)
    await node.broker.answer(BrokerUnavailable("away"))
    assert node.announcements.channels == {CHANNEL}
    await asyncio.sleep(RETRY_SECONDS)
    await turns()
    await node.broker.answer()
    assert node.announcements.channels == set()


@scenario
async def test_an_unexpected_error_gives_the_channel_up_and_the_next_feed_is_subscribed(
    node: Node,
) -> None:
    for number, error in enumerate((ZeroDivisionError("a fault of ours"), internal()), 1):
        await node.change(node.new_feed())
        await node.broker.answer(error)
        assert (node.failed, node.announcements.settled) == ([CHANNEL] * number, True)
        assert node.faults.counts == {"announcements": number}
    feed = await node.subscribed()
    assert feed.continuity.delivered == FIRST
