"""brokers/redis/shards.py: the connection for a channel's commands, and why there is none."""

import asyncio
from typing import cast

import pytest

from eventhub.brokers.redis.codec import PUBSUB, SLOTS, KeyNames, slot
from eventhub.brokers.redis.link import RedisLink
from eventhub.brokers.redis.shard import Shard
from eventhub.brokers.redis.shards import ShardMap
from eventhub.brokers.redis.subscriptions import ShardOwner
from eventhub.brokers.redis.topology import Master
from eventhub.brokers.redis.url import Login, ServerAddress
from tests.harness.loop import in_loop

HERE, THERE, NOWHERE = (ServerAddress(name, 1) for name in ("here", "there", "nowhere"))


class Idle(Shard):
    """A shard that never connects by itself."""

    def __init__(self, address: ServerAddress) -> None:
        owner = cast(ShardOwner, None)
        super().__init__(address, Login(), KeyNames("p", 0), owner, node="n", pubsub=PUBSUB)
        self.reason: str | None = None
        self.cancelled = False

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled = True

    def unavailable_reason(self) -> str | None:
        return self.reason


class Map:
    """A map, and the shards that it made."""

    def __init__(self) -> None:
        self.made: dict[ServerAddress, Idle] = {}
        self.shards = ShardMap(self._make, {})

    def _make(self, address: ServerAddress) -> Shard:
        self.made[address] = Idle(address)
        return self.made[address]


@pytest.mark.parametrize("redirect", [None, HERE])
@in_loop
async def test_only_a_connection_that_works_is_given(redirect: ServerAddress | None) -> None:
    found = Map()
    assert found.shards.link("a.b", redirect) is None
    async with asyncio.TaskGroup() as tasks:
        found.shards.arrange([Master(HERE, (range(SLOTS),))], tasks)
        assert found.shards.link("a.b", redirect) is None
        link = found.made[HERE].commands = RedisLink(print)
        assert found.shards.link("a.b", redirect) is link
        assert found.shards.link("a.b", NOWHERE) is None
        link.close("over")
        assert found.shards.link("a.b", redirect) is None
        found.shards.arrange([], tasks)


@in_loop
async def test_a_redirect_leads_to_its_shard_and_not_to_the_owner() -> None:
    found = Map()
    number = slot("a.b")
    async with asyncio.TaskGroup() as tasks:
        others = Master(THERE, (range(number), range(number + 1, SLOTS)))
        found.shards.arrange([Master(HERE, (range(number, number + 1),)), others], tasks)
        for shard in found.made.values():
            shard.commands = RedisLink(print)
        assert found.shards.link("a.b") is found.made[HERE].commands
        assert found.shards.link("a.b", THERE) is found.made[THERE].commands
        found.shards.arrange([], tasks)


@in_loop
async def test_the_first_shard_that_does_not_work_is_the_reason() -> None:
    found = Map()
    assert "no master" in str(found.shards.unavailable_reason())
    async with asyncio.TaskGroup() as tasks:
        half = SLOTS // 2
        masters = [Master(HERE, (range(half),)), Master(THERE, (range(half, SLOTS),))]
        found.shards.arrange(masters, tasks)
        assert found.shards.unavailable_reason() is None
        found.made[THERE].reason = "there: away"
        assert found.shards.unavailable_reason() == "there: away"
        found.shards.arrange([], tasks)


@in_loop
async def test_a_master_that_stays_keeps_its_shard_and_one_that_goes_is_ended() -> None:
    found = Map()
    async with asyncio.TaskGroup() as tasks:
        half = SLOTS // 2
        both = [Master(HERE, (range(half),)), Master(THERE, (range(half, SLOTS),))]
        assert found.shards.arrange(both, tasks) is True
        here, there = found.made[HERE], found.made[THERE]
        await asyncio.sleep(0)
        assert found.shards.arrange(list(both), tasks) is False
        assert found.shards.arrange([Master(HERE, (range(SLOTS),))], tasks) is True
        await asyncio.sleep(0)
        assert (found.made[HERE], here.cancelled, there.cancelled) == (here, False, True)
        assert list(found.shards) == [here]
        found.shards.arrange([], tasks)
    assert found.shards.owner("a.b") is None


@in_loop
async def test_a_shards_tag_is_in_one_of_its_slots_and_stays_while_it_is() -> None:
    found = Map()
    async with asyncio.TaskGroup() as tasks:
        number = slot("0")
        found.shards.arrange([Master(HERE, (range(SLOTS),))], tasks)
        assert found.made[HERE].tag == "0"
        without = (range(number), range(number + 1, SLOTS))
        found.shards.arrange([Master(HERE, without)], tasks)
        tag = found.made[HERE].tag
        assert slot(tag) != number
        found.shards.arrange([Master(HERE, (range(SLOTS),))], tasks)
        assert found.made[HERE].tag == tag, "another topic would have to be subscribed to"
        found.shards.arrange([], tasks)


@in_loop
async def test_what_was_forgotten_is_arranged_anew() -> None:
    found = Map()
    masters = [Master(HERE, (range(SLOTS),))]
    async with asyncio.TaskGroup() as tasks:
        found.shards.arrange(masters, tasks)
        first = found.made[HERE]
        await asyncio.sleep(0)
        found.shards.clear()
        assert (list(found.shards), found.shards.owner("a.b")) == ([], None)
        assert "no master" in str(found.shards.unavailable_reason())
        assert found.shards.arrange(masters, tasks)
        assert found.shards.owner("a.b") is found.made[HERE] is not first
        raise_end = asyncio.current_task()
        assert raise_end is not None
        for task in asyncio.all_tasks() - {raise_end}:
            task.cancel()
