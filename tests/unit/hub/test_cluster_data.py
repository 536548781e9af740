"""hub/cluster.py: how often members are updated, and how fast nodes tell each other of it."""

import asyncio

import pytest

from eventhub.errors import RateLimited
from eventhub.hub.cluster import BYTES_A_MILLISECOND, GATHER_SECONDS, PRESENCE_SECONDS
from tests.harness.virtual_time import in_virtual_time
from tests.harness.wire import Wire
from tests.unit.hub.cluster_node import Node, subscriber

RATE = 10.0
NOON = 1_795_377_960_000


@in_virtual_time
async def test_an_update_is_told_to_watchers_and_to_other_nodes() -> None:
    node, wire = Node(), Wire()
    ana = subscriber(member="ana")
    node.cluster.watch(subscriber(wire=wire))
    async with node.running():
        node.cluster.join(ana)
        await asyncio.sleep(2 * PRESENCE_SECONDS)
        node.presence()
        node.cluster.update(ana, b'{"x":1}', NOON)
        assert node.cluster.listed("chat.a") == [("ana", b'{"x":1}')]
        await asyncio.sleep(2 * PRESENCE_SECONDS)
    assert wire.messages[-1]["member"] == {"id": "ana", "data": {"x": 1}}
    (message,) = node.presence()
    assert message["data"] == [["chat.a", "ana", NOON, {"x": 1}]]


@in_virtual_time
async def test_a_member_is_updated_as_often_as_its_rate_allows() -> None:
    node, ana, tab = Node(), subscriber(member="ana"), subscriber(member="ana")
    for _ in range(int(2 * RATE)):
        node.cluster.charge_update(ana, RATE)
    with pytest.raises(RateLimited, match=r"10 updates .* \(limits.member_updates\)") as caught:
        node.cluster.charge_update(ana, RATE)
    assert caught.value.limit == "member_updates"
    node.cluster.charge_update(tab, RATE)
    for _ in range(3):
        await asyncio.sleep((caught.value.retry_after or 0) + 0.001)
        node.cluster.charge_update(ana, RATE)
        with pytest.raises(RateLimited) as caught:
            node.cluster.charge_update(ana, RATE)
        assert caught.value.retry_after == pytest.approx(1 / RATE, abs=0.002)


@in_virtual_time
async def test_nothing_is_kept_of_the_rate_of_a_subscriber_that_left() -> None:
    node, ana = Node(), subscriber(member="ana")
    node.cluster.join(ana)
    node.cluster.charge_update(ana, RATE)
    node.cluster.leave(ana)
    assert node.cluster._update_rates == {}


@in_virtual_time
async def test_many_members_with_data_are_broadcast_at_a_bounded_pace() -> None:
    node = Node()
    for number in range(200):
        member = subscriber(member=f"m{number}")
        node.cluster.join(member)
        node.cluster.update(member, b'{"x":"%b"}' % (b"x" * 1000), NOON)
    async with node.running():
        await asyncio.sleep(PRESENCE_SECONDS + 0.01)
        sent = sum(map(len, node.sent))
        assert 10 * BYTES_A_MILLISECOND / 2 < sent < 20 * BYTES_A_MILLISECOND
        await asyncio.sleep(0.1)
        assert sum(map(len, node.sent)) > 200_000


@in_virtual_time
async def test_an_update_of_a_member_that_nobody_watches_wakes_nobody() -> None:
    node, ana = Node(), subscriber(member="ana")
    async with node.running():
        node.cluster.join(ana)
        node.cluster.update(ana, b"{}", NOON)
        await asyncio.sleep(2 * GATHER_SECONDS)
        assert not node.cluster._watchers.due


@in_virtual_time
async def test_a_member_begins_with_its_data_which_goes_with_its_subscription() -> None:
    node = Node()
    first, second = (subscriber(member="ana") for _ in range(2))
    node.cluster.join(first, b'{"x":1}', NOON)
    node.cluster.join(second, b'{"x":2}', NOON)
    assert node.cluster.listed("chat.a") == [("ana", b'{"x":2}')]
    node.cluster.leave(second)
    assert node.cluster.listed("chat.a") == [("ana", b'{"x":1}')]
    async with node.running():
        await asyncio.sleep(2 * PRESENCE_SECONDS)
    (_, told) = node.presence()
    assert told["data"] == [["chat.a", "ana", NOON, {"x": 1}]]


@in_virtual_time
async def test_a_member_that_gives_no_data_is_told_without_any() -> None:
    node = Node()
    node.cluster.join(subscriber(member="ana"), b"", NOON)
    async with node.running():
        await asyncio.sleep(2 * PRESENCE_SECONDS)
    (_, told) = node.presence()
    assert told["news"] == [["chat.a", "ana", True]]
    assert "data" not in told
