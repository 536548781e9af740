"""The broker contract on Redis: which shard has a channel, and what becomes of a call when it moves or is away."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain, count

import structlog

from eventhub.brokers.base import Deliver, OnGap, OnMessage
from eventhub.brokers.records import RecordReader
from eventhub.brokers.redis.codec import (
    HISTORY,
    SLOTS,
    KeyNames,
    announce,
    history_arguments,
    publish_arguments,
    read_page,
    slot,
)
from eventhub.brokers.redis.link import ErrorReply, LinkLost, RedisLink, Reply, ignore, pack
from eventhub.brokers.redis.publisher import PASSING, RedisPublisher
from eventhub.brokers.redis.shard import Shard, ShardSubscription
from eventhub.brokers.redis.topology import Master, NoMaster, topology
from eventhub.brokers.redis.url import Deployment, ServerAddress, parse
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.channels import Retention
from eventhub.events.event import Age, Earliest, HistoryPage, Last, NewEvent, Position, Receipt

log = structlog.get_logger("eventhub.brokers.redis")

LOOK_SECONDS = 1.0
"""Between two looks at who is master."""
HASTE_SECONDS = 0.1
"""The same, when there is doubt."""
RETRY_SECONDS = 0.05
REFRESH_SECONDS = 300.0
"""Between two times that the metadata of subscribed channels are kept from expiring."""
KEEP_SECONDS = 6 * 3600.0
"""A channel without events that somebody has listened to for so long gets metadata: where it stood
is else known for a day (log.lua).
"""
REFRESH_CHANNELS = 500
NODES = "*nodes"
"""In place of a channel, for what nodes tell each other: no channel can have this name."""


class RedisBroker:
    """Events in Redis. `retention` gives a channel's retention, `clock` milliseconds since the Unix epoch, `timeout` is in seconds."""

    def __init__(
        self,
        url: str,
        retention: Callable[[str], Retention],
        clock: Callable[[], int],
        *,
        prefix: str = "eventhub",
        timeout: float = 5.0,
    ) -> None:
        self._url = parse(url)
        self._retention, self._clock, self._timeout = retention, clock, timeout
        self._names = KeyNames(
            prefix, self._url.login.db, cluster=self._url.kind is Deployment.CLUSTER
        )
        self._verb = "SPUBLISH" if self._url.kind is Deployment.CLUSTER else "PUBLISH"
        self._node = secrets.token_hex(4)
        self._shards: dict[ServerAddress, tuple[Shard, asyncio.Task[None]]] = {}
        self._owners: list[Shard | None] = [None] * SLOTS
        self._masters: Sequence[Master] = ()
        self._wanted: dict[str, ShardSubscription] = {}
        self._publisher = RedisPublisher(self, timeout)
        self._records = RecordReader("redis")
        self._lookup = "looking for the master"
        self._doubt = asyncio.Event()
        self._change = asyncio.Event()
        self._deliver: Deliver = ignore
        self._gap: OnGap = ignore

    # The contract

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        return await self._publisher.publish(events)

    async def history(
        self, channel: str, since: Position | Earliest | Last | Age, limit: int
    ) -> HistoryPage:
        async with self._deadline():
            return await self._read(channel, since, limit)

    async def subscribe(self, channel: str) -> Position:
        if (subscription := self._wanted.get(channel)) is not None:
            return await self._begin(subscription)
        topic = self._names.topic(channel).encode()
        subscription = self._wanted[channel] = ShardSubscription(
            channel, topic, lambda data: announce(channel, data, self._deliver)
        )
        if (shard := self._owners[slot(channel)]) is not None:
            shard.add([subscription])
        try:
            return await self._begin(subscription)
        except BaseException:
            if self._wanted.get(channel) is subscription:
                await self.unsubscribe(channel)
            raise

    async def unsubscribe(self, channel: str) -> None:
        subscription = self._wanted.pop(channel, None)
        if subscription is not None and (shard := self._owners[slot(channel)]) is not None:
            shard.remove(subscription)

    async def broadcast(self, message: bytes) -> None:
        if (link := self.link(NODES)) is None:
            raise BrokerUnavailable(self.trouble() or "Redis is away")
        link.send(pack(self._verb, self._names.topic(NODES), message), ignore)

    async def run(self, deliver: Deliver, gap: OnGap, hear: OnMessage) -> None:
        self._deliver, self._gap = deliver, gap
        self._wanted[NODES] = ShardSubscription(NODES, self._names.topic(NODES).encode(), hear)
        masters = topology(self._url)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._refresh())
                while True:
                    doubt = self._doubt.is_set()
                    self._doubt.clear()
                    try:
                        self._arrange(await masters.masters(doubt=doubt), tasks)
                    except NoMaster as error:
                        self._lookup = str(error)
                    except Exception as error:  # whoever was asked says what nobody understands
                        log.exception("redis_topology_unreadable")
                        self._lookup = f"what was asked for the master cannot be understood: {type(error).__name__}"
                    await self._pause()
        finally:
            masters.close()
            self._shards, self._owners, self._masters = {}, [None] * SLOTS, ()
            self._lookup = "the broker has ended"
            await asyncio.sleep(0)  # transports that were ended close in the next turn

    def unready(self) -> str | None:
        return self.trouble()

    # For the shards

    def gap(self, channel: str) -> None:
        """Owner: announcing works again."""
        self._gap(channel)

    def changed(self) -> None:
        """Owner: a connection was made or lost."""
        self._change.set()
        self._change.clear()
        self._publisher.wake()

    def doubt(self) -> None:
        """Owner: the masters may be others now."""
        self._doubt.set()

    # For the publisher

    def link(self, channel: str, redirect: ServerAddress | None = None) -> RedisLink | None:
        """Router: where the channel's commands go."""
        if redirect is None:
            shard = self._owners[slot(channel)]
        else:
            shard, _ = self._shards.get(redirect, (None, None))
        link = None if shard is None else shard.commands
        return None if link is None or link.lost.done() else link

    def refused(self, channel: str, error: ErrorReply) -> None:
        """Router: a passing refusal."""
        if error.code == "NOSCRIPT":
            for shard, _ in self._shards.values():
                shard.load()
            return
        if error.code == "READONLY" and (owner := self._owners[slot(channel)]) is not None:
            owner.leave("it is no longer a master")
        self._doubt.set()

    def arguments(self, channel: str, events: Sequence[NewEvent]) -> Sequence[str | bytes | int]:
        """Router: of publish.lua."""
        return publish_arguments(
            self._names, channel, events, self._retention(channel), self._clock(), self._verb
        )

    def trouble(self) -> str | None:
        """Router: why Redis does not work, or None."""
        if self._lookup:
            return self._lookup
        if None in self._owners:
            return "some of the cluster's slots have no master"
        return next(
            (trouble for shard, _ in self._shards.values() if (trouble := shard.trouble())), None
        )

    # Private: commands

    async def _begin(self, subscription: ShardSubscription) -> Position:
        async with self._deadline():
            await subscription.established.wait()
            return (await self._read(subscription.channel, Earliest(), 0)).end

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except TimeoutError:
            raise BrokerUnavailable(
                f"Redis does not answer: {self.trouble() or 'no answer in time'}"
            ) from None

    async def _read(
        self, channel: str, since: Position | Earliest | Last | Age, limit: int
    ) -> HistoryPage:
        arguments = history_arguments(
            self._names, channel, since, limit, self._retention(channel), self._clock()
        )
        return read_page(
            channel, await self._ask(channel, "EVALSHA", HISTORY.sha, *arguments), self._records
        )

    async def _ask(self, channel: str, *command: str | bytes | int) -> Reply:
        """The answer to a command that may be repeated."""
        redirect: ServerAddress | None = None
        while True:
            if (link := self.link(channel, redirect)) is None:
                await self._change.wait()
                continue
            try:
                if redirect is not None:
                    link.send(pack("ASKING"), ignore)
                return await link.call(*command)
            except LinkLost:
                redirect = None
            except ErrorReply as error:
                if error.code not in PASSING:
                    raise BrokerUnavailable(f"Redis answered {error.code}") from None
                self.refused(channel, error)
                redirect = (
                    error.redirect
                    if error.code == "ASK" and self.link(channel, error.redirect)
                    else None
                )
                if redirect is None and error.code != "NOSCRIPT":
                    await asyncio.sleep(RETRY_SECONDS)

    # Private: shards

    def _arrange(self, masters: Sequence[Master], tasks: asyncio.TaskGroup) -> None:
        """Keep a shard for each master, and each subscription at the shard that has its slot."""
        self._lookup = ""
        if masters == self._masters:
            return
        self._masters = masters
        for address in self._shards.keys() - {master.address for master in masters}:
            self._shards.pop(address)[1].cancel()
        owners: list[Shard | None] = [None] * SLOTS
        for master in masters:
            shard = self._shard(master.address, tasks)
            shard.tag = _tag(shard.tag, master)
            for slots in master.slots:
                owners[slots.start : slots.stop] = [shard] * len(slots)
        self._move(owners)

    def _shard(self, address: ServerAddress, tasks: asyncio.TaskGroup) -> Shard:
        if (found := self._shards.get(address)) is None:
            shard = Shard(
                address,
                self._url.login,
                self._names,
                self,
                node=self._node,
                sharded=self._url.kind is Deployment.CLUSTER,
            )
            found = self._shards[address] = (shard, tasks.create_task(shard.run()))
        return found[0]

    def _move(self, owners: list[Shard | None]) -> None:
        old, self._owners = self._owners, owners
        for channel, subscription in self._wanted.items():
            number = slot(channel)
            before, after = old[number], owners[number]
            if before is not after:
                if before is not None:
                    before.remove(subscription)
                if after is not None:
                    after.add([subscription])
        self.changed()

    async def _pause(self) -> None:
        await asyncio.sleep(HASTE_SECONDS)
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await self._doubt.wait()

    async def _refresh(self) -> None:
        """Metadata of channels that are subscribed to do not expire: the next event would come as after a loss."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            oldest = asyncio.get_running_loop().time() - KEEP_SECONDS
            wanted = [
                subscription for channel, subscription in self._wanted.items() if channel != NODES
            ]
            for first in range(0, len(wanted), REFRESH_CHANNELS):
                for subscription in wanted[first : first + REFRESH_CHANNELS]:
                    self._keep(subscription.channel, keep=subscription.since <= oldest)
                await asyncio.sleep(RETRY_SECONDS)  # others have their turn

    def _keep(self, channel: str, *, keep: bool) -> None:
        if (link := self.link(channel)) is None:
            return
        try:
            retention = self._retention(channel)
            arguments = history_arguments(
                self._names, channel, Earliest(), 0, retention, self._clock(), keep=keep
            )
            link.send(pack("EVALSHA", HISTORY.sha, *arguments), ignore)
        except Exception:  # of this channel: the others are kept
            log.exception("redis_channel_not_kept", channel=channel)


def _tag(tag: str, master: Master) -> str:
    """A hash tag of one of the master's slots: the one it has, if possible."""
    candidates = chain((tag,), map(str, count()))
    return next(
        candidate
        for candidate in candidates
        if any(slot(candidate) in slots for slots in master.slots)
    )
