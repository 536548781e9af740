"""The broker contract on Redis: calls go to the shard that has the channel, wherever it moves."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress

import structlog

from eventhub.brokers.base import Deliver, OnBirth, OnGap, OnMessage, OnSignal, no_signals
from eventhub.brokers.records import RecordReader
from eventhub.brokers.redis.announcement import announce
from eventhub.brokers.redis.channel_list import RedisChannelList
from eventhub.brokers.redis.codec import (
    PUBSUB,
    SHARDED_PUBSUB,
    KeyNames,
    publish_arguments,
)
from eventhub.brokers.redis.link import ErrorReply, LinkLost, RedisLink, Reply, ignore, pack
from eventhub.brokers.redis.metadata import refresh_metadata
from eventhub.brokers.redis.publisher import RedisPublisher
from eventhub.brokers.redis.replies import RETRY_SECONDS, TEMPORARY_ERRORS
from eventhub.brokers.redis.shard import Shard
from eventhub.brokers.redis.shards import ShardMap
from eventhub.brokers.redis.signals import RedisSignals, read_signal
from eventhub.brokers.redis.state_codec import keep_request, page_request, read_any_page
from eventhub.brokers.redis.subscriptions import BIRTHS, ShardSubscription
from eventhub.brokers.redis.topology import NoMaster, Topology, topology
from eventhub.brokers.redis.url import Deployment, ServerAddress, parse
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.channel_types import Retention
from eventhub.events.event import (
    ChannelPage,
    Earliest,
    HistoryPage,
    NewEvent,
    Position,
    Receipt,
    Start,
)
from eventhub.events.signal import Signal

log = structlog.get_logger("eventhub.brokers.redis")

LOOKUP_SECONDS = 1.0
"""Time between two questions for the masters."""
DOUBT_LOOKUP_SECONDS = 0.1
"""The same, when other servers may be the masters."""
NODES = "*nodes"
"""Stands for a channel in broadcasts between nodes. No channel can have this name."""


class RedisBroker:
    """Events in Redis.

    `retention` gives a channel's retention, `clock` milliseconds since the Unix epoch. `timeout`
    bounds every call, in seconds.
    """

    publish_now = publish_all_now = None  # it waits for its server

    offset_step = 1

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
        cluster = self._url.kind is Deployment.CLUSTER
        self._names = KeyNames(prefix, self._url.login.db, cluster=cluster)
        self._pubsub = SHARDED_PUBSUB if cluster else PUBSUB
        self._node = secrets.token_hex(4)
        self._wanted: dict[str, ShardSubscription] = {}
        self._shards = ShardMap(self._make_shard, self._wanted)
        self._publisher = RedisPublisher(self, timeout)
        self.publish_later = self._publisher.publish_later
        self._records = RecordReader("redis")
        self._list = RedisChannelList(self._names, self._request, retention)
        self._signals = RedisSignals(self._names, self._pubsub)
        self.on_signal: OnSignal = no_signals
        self._lookup_trouble = "looking for the master"
        self._in_doubt, self._connections_changed = asyncio.Event(), asyncio.Event()
        self._deliver: Deliver = ignore
        self._gap: OnGap = ignore
        self._born: OnBirth = ignore

    # The contract

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        return await self._publisher.publish(events)

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        async with self._deadline():
            return await self._read(channel, since, limit)

    async def channels(self, pattern: ChannelPattern, after: str, limit: int) -> ChannelPage:
        async with self._deadline():
            return await self._list.read(pattern, after, limit, self._clock())

    async def subscribe(self, channel: str) -> Position:
        if (subscription := self._wanted.get(channel)) is not None:
            return await self._begin(subscription)
        topic = self._names.topic(channel).encode()
        subscription = self._wanted[channel] = ShardSubscription(
            channel, topic, lambda data: self._announced(channel, data)
        )
        if (shard := self._shards.owner(channel)) is not None:
            shard.add(subscription)
        try:
            return await self._begin(subscription)
        except BaseException:
            if self._wanted.get(channel) is subscription:
                await self.unsubscribe(channel)
            raise

    async def unsubscribe(self, channel: str) -> None:
        subscription = self._wanted.pop(channel, None)
        if subscription is not None and (shard := self._shards.owner(channel)) is not None:
            shard.remove(subscription)

    async def broadcast(self, message: bytes) -> None:
        if (link := self.link(NODES)) is None:
            raise BrokerUnavailable(self.unavailable_reason() or "there is no connection to Redis")
        link.send(pack(self._pubsub.publish, self._names.topic(NODES), message), ignore)

    def signal(self, signal: Signal) -> None:
        if (link := self.link(signal.channel)) is None:
            raise BrokerUnavailable(self.unavailable_reason() or "there is no connection to Redis")
        self._signals.send(link, signal)

    async def run(self, deliver: Deliver, gap: OnGap, on_message: OnMessage, born: OnBirth) -> None:
        self._deliver, self._gap, self._born = deliver, gap, born
        topic = self._names.topic(NODES).encode()
        self._wanted[NODES] = ShardSubscription(NODES, topic, on_message)
        masters = topology(self._url)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(refresh_metadata(self._wanted, NODES, self._keep))
                while True:
                    await self._look_up(masters, tasks)
                    await asyncio.sleep(DOUBT_LOOKUP_SECONDS)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOKUP_SECONDS):
                            await self._in_doubt.wait()
        finally:
            masters.close()
            self._shards.clear()
            self._lookup_trouble = "the broker has ended"
            await asyncio.sleep(0)  # aborted transports close in the next turn of the loop

    def unready(self) -> str | None:
        return self.unavailable_reason()

    # ShardOwner

    def born(self, channel: str, hearer: ServerAddress) -> None:
        """A birth. Every server of a cluster passes it on: only the channel's own one counts."""
        if (owner := self._shards.owner(channel)) is not None and owner.address == hearer:
            self._born(channel)

    def may_have_missed(self, channel: str) -> None:
        """Announcements of this channel, or births, may have been lost; they arrive again now."""
        if channel == BIRTHS:
            self._born(None)
        else:
            self._gap(channel)

    def connection_changed(self) -> None:
        """A connection was made or lost."""
        self._connections_changed.set()
        self._connections_changed.clear()
        self._publisher.resume()

    def masters_may_have_changed(self) -> None:
        """Other servers may be the masters now."""
        self._in_doubt.set()

    # CommandRouter

    def link(self, channel: str, redirect: ServerAddress | None = None) -> RedisLink | None:
        """The connection for the channel's commands."""
        return self._shards.link(channel, redirect)

    def refused(self, channel: str, error: ErrorReply) -> None:
        """A command got a temporary refusal."""
        if error.code == "NOSCRIPT":
            for shard in self._shards:
                shard.load_scripts()
            return
        if error.code == "READONLY" and (owner := self._shards.owner(channel)) is not None:
            owner.reconnect("it is no longer a master")
        self._in_doubt.set()

    def arguments(self, channel: str, events: Sequence[NewEvent]) -> Sequence[str | bytes | int]:
        """The script that publishes these events, and its arguments."""
        retention, now = self._retention(channel), self._clock()
        return publish_arguments(self._names, channel, events, retention, now, self._pubsub.publish)

    def unavailable_reason(self) -> str | None:
        """Why Redis cannot be used, or None."""
        return self._lookup_trouble or self._shards.unavailable_reason()

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
            reason = self.unavailable_reason() or "no answer in time"
            raise BrokerUnavailable(f"Redis does not answer: {reason}") from None

    async def _read(self, channel: str, since: Start, limit: int) -> HistoryPage:
        retention = self._retention(channel)
        request = page_request(self._names, channel, since, limit, retention, self._clock())
        answer = await self._request(channel, "EVALSHA", *request)
        return read_any_page(channel, since, answer, self._records)

    async def _request(self, channel: str, *command: str | bytes | int) -> Reply:
        """The answer to a command that may be repeated."""
        redirect: ServerAddress | None = None
        while True:
            if (link := self.link(channel, redirect)) is None:
                await self._connections_changed.wait()
                continue
            try:
                if redirect is not None:
                    link.send(pack("ASKING"), ignore)
                return await link.call(*command)
            except LinkLost:
                redirect = None
            except ErrorReply as error:
                if error.code not in TEMPORARY_ERRORS:
                    raise BrokerUnavailable(f"Redis answered {error.code}") from None
                self.refused(channel, error)
                redirect = None
                if error.code == "ASK" and self.link(channel, error.redirect):
                    redirect = error.redirect
                elif error.code != "NOSCRIPT":
                    await asyncio.sleep(RETRY_SECONDS)

    # Private: masters

    def _make_shard(self, address: ServerAddress) -> Shard:
        return Shard(
            address, self._url.login, self._names, self, node=self._node, pubsub=self._pubsub
        )

    async def _look_up(self, masters: Topology, tasks: asyncio.TaskGroup) -> None:
        """Ask for the masters, and keep a shard for each."""
        in_doubt = self._in_doubt.is_set()
        self._in_doubt.clear()
        try:
            found = await masters.masters(in_doubt=in_doubt)
            self._lookup_trouble = ""
            if self._shards.arrange(found, tasks):
                self.connection_changed()
                self._born(None)
        except NoMaster as error:
            self._lookup_trouble = str(error)
        except Exception as error:  # an answer that is malformed
            log.exception("redis_topology_unreadable")
            self._lookup_trouble = (
                f"the answer about the masters cannot be processed: {type(error).__name__}"
            )

    # Private: announcements and metadata

    def _announced(self, channel: str, announcement: bytes) -> None:
        """Raises ValueError, LookupError for one that cannot be read."""
        if (signal := read_signal(channel, announcement)) is None:
            announce(channel, announcement, self._deliver)
        else:
            self.on_signal(signal)

    def _keep(self, channel: str, *, keep: bool) -> None:
        if (link := self.link(channel)) is None:
            return
        retention = self._retention(channel)
        request = keep_request(self._names, channel, retention, self._clock(), keep=keep)
        link.send(pack("EVALSHA", *request), ignore)
