"""Which shard has a channel: a shard for each master, and the slots that each of them serves."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, count

from eventhub.brokers.redis.codec import SLOTS, slot
from eventhub.brokers.redis.link import RedisLink
from eventhub.brokers.redis.shard import Shard
from eventhub.brokers.redis.subscriptions import ShardSubscription
from eventhub.brokers.redis.topology import Master
from eventhub.brokers.redis.url import ServerAddress


class ShardMap:
    """The shards, and the subscriptions at each.

    `make_shard` makes the shard of an address. `wanted` holds all subscriptions by channel; it
    belongs to the broker.
    """

    def __init__(
        self,
        make_shard: Callable[[ServerAddress], Shard],
        wanted: Mapping[str, ShardSubscription],
    ) -> None:
        self._make_shard, self._wanted = make_shard, wanted
        self._shards: dict[ServerAddress, tuple[Shard, asyncio.Task[None]]] = {}
        self._owners: list[Shard | None] = [None] * SLOTS
        self._masters: Sequence[Master] = ()

    def __iter__(self) -> Iterator[Shard]:
        return (shard for shard, _ in list(self._shards.values()))

    def owner(self, channel: str) -> Shard | None:
        """The shard that has the channel's slot."""
        return self._owners[slot(channel)]

    def link(self, channel: str, redirect: ServerAddress | None = None) -> RedisLink | None:
        """The connection for a channel's commands, or the one to `redirect`, if it works."""
        if redirect is None:
            shard = self.owner(channel)
        else:
            shard, _ = self._shards.get(redirect, (None, None))
        link = None if shard is None else shard.commands
        return None if link is None or link.lost.done() else link

    def unavailable_reason(self) -> str | None:
        """Why some channel cannot be served, or None."""
        if None in self._owners:
            return "some of the cluster's slots have no master"
        return next((reason for shard in self if (reason := shard.unavailable_reason())), None)

    def arrange(self, masters: Sequence[Master], tasks: asyncio.TaskGroup) -> bool:
        """Keep one shard for each master, and each subscription at the shard with its slot.

        Returns whether anything changed.
        """
        if masters == self._masters:
            return False
        self._masters = masters
        for address in self._shards.keys() - {master.address for master in masters}:
            self._shards.pop(address)[1].cancel()
        owners: list[Shard | None] = [None] * SLOTS
        for master in masters:
            shard = self._shard(master.address, tasks)
            shard.tag = _tag(shard.tag, master)
            for slots in master.slots:
                owners[slots.start : slots.stop] = [shard] * len(slots)
        self._move_subscriptions(owners)
        return True

    def clear(self) -> None:
        """Forget all shards. Their tasks have ended."""
        self._shards, self._owners, self._masters = {}, [None] * SLOTS, ()

    def _shard(self, address: ServerAddress, tasks: asyncio.TaskGroup) -> Shard:
        if (found := self._shards.get(address)) is None:
            shard = self._make_shard(address)
            found = self._shards[address] = (shard, tasks.create_task(shard.run()))
        return found[0]

    def _move_subscriptions(self, owners: list[Shard | None]) -> None:
        old_owners, self._owners = self._owners, owners
        for channel, subscription in self._wanted.items():
            number = slot(channel)
            before, after = old_owners[number], owners[number]
            if before is not after:
                if before is not None:
                    before.remove(subscription)
                if after is not None:
                    after.add(subscription)


def _tag(tag: str, master: Master) -> str:
    """A hash tag of one of the master's slots: the present one, if possible."""
    candidates = chain((tag,), map(str, count()))
    return next(
        candidate
        for candidate in candidates
        if any(slot(candidate) in slots for slots in master.slots)
    )
