"""brokers/redis/shards.py: which shard has a channel, and where its subscription goes."""

import asyncio
from types import SimpleNamespace
from typing import Any

from eventhub.brokers.redis.codec import PUBSUB, SLOTS, KeyNames, slot
from eventhub.brokers.redis.shard import Shard
from eventhub.brokers.redis.shards import ShardMap
from eventhub.brokers.redis.subscriptions import ShardSubscription
from eventhub.brokers.redis.topology import Master
from eventhub.brokers.redis.url import Login, ServerAddress

LOW, HIGH = ServerAddress("low", 1), ServerAddress("high", 2)
HALF = SLOTS // 2


class Owner:
    """Takes what shards tell."""

    def born(self, channel: str, hearer: ServerAddress) -> None:
        raise AssertionError(channel)

    def may_have_missed(self, channel: str) -> None:
        raise AssertionError(channel)

    def connection_changed(self) -> None:
        """Of no interest here."""

    masters_may_have_changed = connection_changed


class IdleShard(Shard):
    """A shard that never connects, and notes its subscriptions."""

    def __init__(self, address: ServerAddress) -> None:
        super().__init__(address, Login(), KeyNames("p", 0), Owner(), node="n", pubsub=PUBSUB)
        self.channels: set[str] = set()

    async def run(self) -> None:
        await asyncio.Event().wait()

    def add(self, subscription: ShardSubscription) -> None:
        self.channels.add(subscription.channel)

    def remove(self, subscription: ShardSubscription) -> None:
        self.channels.discard(subscription.channel)


def masters(low: ServerAddress, high: ServerAddress) -> list[Master]:
    return [Master(low, (range(HALF),)), Master(high, (range(HALF, SLOTS),))]


def test_a_subscription_is_at_the_shard_that_has_its_slot_wherever_that_moves() -> None:
    async def main() -> None:
        wanted = {name: ShardSubscription(name, b"t", lambda _: None) for name in ("a.b", "c.d")}
        made: dict[ServerAddress, IdleShard] = {}

        def make(address: ServerAddress) -> Shard:
            made[address] = IdleShard(address)
            return made[address]

        shards = ShardMap(make, wanted)
        assert shards.owner("a.b") is None
        async with asyncio.TaskGroup() as tasks:
            assert shards.arrange(masters(LOW, HIGH), tasks)
            assert not shards.arrange(masters(LOW, HIGH), tasks), "nothing changed"
            for channel in wanted:
                here, there = (LOW, HIGH) if slot(channel) < HALF else (HIGH, LOW)
                assert shards.owner(channel) is made[here]
                assert channel in made[here].channels - made[there].channels
            assert shards.arrange(masters(HIGH, LOW), tasks)
            for channel in wanted:
                here, there = (HIGH, LOW) if slot(channel) < HALF else (LOW, HIGH)
                assert channel in made[here].channels - made[there].channels
            assert shards.arrange([Master(LOW, (range(SLOTS),))], tasks)
            assert {shard.address for shard in shards} == {LOW}
            assert made[LOW].channels == wanted.keys()
            shards.arrange([], tasks)

    asyncio.run(main())


def test_a_slot_without_a_master_is_a_trouble() -> None:
    async def main() -> None:
        shards = ShardMap(IdleShard, {})
        async with asyncio.TaskGroup() as tasks:
            shards.arrange([Master(LOW, (range(1, SLOTS),))], tasks)
            assert shards.unavailable_reason() == "some of the cluster's slots have no master"
            shards.arrange([], tasks)

    asyncio.run(main())


def test_a_shard_is_probed_in_one_of_its_own_slots_and_stays_there_if_it_can() -> None:
    async def main() -> None:
        shards = ShardMap(IdleShard, {})
        async with asyncio.TaskGroup() as tasks:
            shards.arrange(masters(LOW, HIGH), tasks)
            for shard in shards:
                assert (slot(shard.tag) < HALF) is (shard.address == LOW)
            tags = {shard.address: shard.tag for shard in shards}
            all_but_one = Master(LOW, (range(HALF + 1),))
            shards.arrange([all_but_one, Master(HIGH, (range(HALF + 1, SLOTS),))], tasks)
            (low,) = (shard for shard in shards if shard.address == LOW)
            assert low.tag == tags[LOW]
            shards.arrange([], tasks)

    asyncio.run(main())


def test_a_connection_that_is_lost_is_given_to_nobody() -> None:
    async def main() -> None:
        shards = ShardMap(IdleShard, {})
        async with asyncio.TaskGroup() as tasks:
            shards.arrange([Master(LOW, (range(SLOTS),))], tasks)
            (shard,) = shards
            lost: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
            link: Any = SimpleNamespace(lost=lost)
            assert shards.link("a.b") is None
            shard.commands = link
            assert shards.link("a.b") is shards.link("a.b", LOW) is link
            assert shards.link("a.b", HIGH) is None
            lost.set_result(ConnectionError())
            assert shards.link("a.b") is shards.link("a.b", LOW) is None
            shards.arrange([], tasks)

    asyncio.run(main())
