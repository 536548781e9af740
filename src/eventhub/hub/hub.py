"""The channels of this node: publish, subscribe, dispatch. Knows writers and brokers, never sessions or sockets."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any

import structlog

from eventhub.brokers.base import Broker
from eventhub.common.clock import unix_milliseconds
from eventhub.common.faults import internal
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.errors import BrokerUnavailable, EventHubError, Internal, ShuttingDown
from eventhub.events.channels import ChannelTypes
from eventhub.events.event import (
    Age,
    Earliest,
    Event,
    Gap,
    HistoryPage,
    Last,
    NewEvent,
    Position,
    Receipt,
)
from eventhub.hub import subscription_log
from eventhub.hub.cluster import Cluster
from eventhub.hub.eviction import EvictionQueue
from eventhub.hub.history import Asked, HistoryReader
from eventhub.observability.metrics import Metrics, Reading
from eventhub.observability.tracing import GuardedTracing, PublishSpan, Tracing

RETRY_SECONDS = 0.5
TRIES, TRIES_SECONDS = 3, 10.0
"""How often a channel may fail in so many seconds and be made whole again. Then its readers are
ended: they come back to a new feed."""
TICK_WRITES = 1000
"""Writes in one turn of the loop: three milliseconds or so. What is left goes on in the next, after
everything else had its turn.
"""
SLICE_WRITES = 250
"""Of those, how many one channel gets before the next."""
READ_SLICE = 1000
"""Feeds that metrics look at in one turn of the loop."""

log = structlog.get_logger("eventhub.hub")


class Hub:
    """Feeds by channel, with their presence. One per process; `run` must be running."""

    def __init__(
        self, types: ChannelTypes, broker: Broker, metrics: Metrics, tracing: Tracing | None = None
    ) -> None:
        self.types = types
        self.faults = metrics.faults
        self.tracing = None if tracing is None else GuardedTracing(tracing, self.faults)
        self._broker = broker
        self._metrics = metrics
        self._feeds: dict[str, Feed] = {}
        self._announced: set[str] = set()  # channels the broker announces to this node
        self._settling: set[str] = set()
        self._reads = HistoryReader(broker, self.spawn, self._give, self._serves, self._lose)
        self._dirty: OrderedDict[Feed, float] = (
            OrderedDict()
        )  # feeds with something to write, since when
        self._behind: dict[
            str, asyncio.Event
        ] = {}  # channels whose feeds wait for room; set once they do not
        self._flushing = False  # `_flush` is called soon, or runs
        self._endings = EvictionQueue(self._soon, self.faults.note)
        self.nodes = Cluster(broker, self.broke, self.faults)
        self._broken: set[str] = (
            set()
        )  # channels that something went wrong in, about to be made whole again
        self._tries: dict[
            str, tuple[float, int]
        ] = {}  # of channels that failed: when the first time was, and how often since
        self._tasks: asyncio.TaskGroup | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self.started = asyncio.Event()
        self.draining = False
        """About to stop, and not ready: whoever is here is served, nobody new is taken."""
        self.closing = False
        """Nobody is here any more, and nothing is stored."""
        self.ended = False
        """It ran, and runs no more: this node is of no use."""

    async def run(self) -> None:
        """Serve until cancelled.

        The broker's task is the only one whose fault ends this, and so the node: nothing can be promised without it. What belongs to a
        connection, a channel or a question goes through `spawn`.
        """
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(
                    self._broker.run(self._deliver, self._gap, self.nodes.hear), name="broker"
                )
                self._tasks.create_task(
                    self.faults.kept("presence", self.nodes.attend), name="presence"
                )
                self._tasks.create_task(
                    self.faults.kept("watchers", self.nodes.notify), name="watchers"
                )
                self.started.set()
        finally:
            self._tasks = None
            self.ended = True

    # Publishing

    async def publish(
        self, events: Sequence[NewEvent], traces: Sequence[PublishSpan] = ()
    ) -> Sequence[Receipt | EventHubError]:
        """Store and announce validated events, one result each. Raises BrokerUnavailable or ShuttingDown when none is stored.

        `traces`: of those among them that are traced; whoever began them ends them. Waits while live subscribers of this node are
        behind: a publisher here is no faster than the fan-out.
        """
        if self._behind:
            await self._let_catch_up({event.channel for event in events})
        if self.closing:
            raise ShuttingDown(
                "this server is about to stop; publish again in a moment, with the same idempotency key if there is one"
            )
        begin = time.perf_counter()
        try:
            results = await (
                self._store_traced(events, traces) if traces else self._broker.publish(events)
            )
        finally:  # that it cannot is an answer, too
            self._metrics.stored(time.perf_counter() - begin)
        try:
            self._count(events, results)
        except Exception as error:  # they are stored, whatever is wrong with the counting
            self.faults.note("metrics", error)
        return results

    async def _let_catch_up(self, channels: set[str]) -> None:
        for channel in channels:
            while (behind := self._behind.get(channel)) is not None:
                await behind.wait()

    def _count(
        self, events: Sequence[NewEvent], results: Sequence[Receipt | EventHubError]
    ) -> None:
        stored: dict[str, int] = {}
        for event, result in zip(events, results, strict=True):
            if isinstance(result, EventHubError):
                self.rejected(event.channel, result)
            elif not result.replayed:
                channel = event.channel
                stored[channel] = stored.get(channel, 0) + 1
        for channel, count in stored.items():
            self._metrics.published(channel.partition(".")[0], count)

    async def _store_traced(
        self, events: Sequence[NewEvent], traces: Sequence[PublishSpan]
    ) -> Sequence[Receipt | EventHubError]:
        begin = time.time_ns()
        fault: EventHubError | None = None
        try:
            return await self._broker.publish(events)
        except Exception as error:
            fault = error if isinstance(error, EventHubError) else Internal("a fault of the server")
            raise
        finally:
            for trace in traces:
                trace.stored(begin, fault)

    def answered(self, channel: str, seconds: float) -> None:
        """A publish was answered, so long after the whole of it was here."""
        self._metrics.answered(channel.partition(".")[0], seconds)

    def rejected(self, channel: str, error: EventHubError) -> None:
        """An event was refused. One that a channel type's own model failed over has the model's error as its cause."""
        if error.__cause__ is not None:
            self.faults.model_failed(channel, error.__cause__)
        self._metrics.rejected(channel.partition(".")[0], error.code)
        self.refused(error)

    def refused(self, error: EventHubError) -> None:
        """Something was refused: count it for the limit that did, if one did, however many edges the error passes."""
        if error.limit is not None and not error.counted:
            error.counted = True
            self._metrics.refused(error.limit)

    def delayed(self, limit: str) -> None:
        """A limit, one of REFUSING, made somebody wait."""
        self._metrics.refused(limit)

    @staticmethod
    def now() -> int:
        """Milliseconds since the Unix epoch."""
        return unix_milliseconds()

    async def history(
        self, channel: str, since: Position | Earliest | Last | Age, limit: int
    ) -> HistoryPage:
        """A page of a channel's log. Raises InvalidChannel, UnknownChannel, BrokerUnavailable."""
        self.types.resolve(channel)
        return await self._broker.history(channel, since, limit)

    # Subscribing

    def subscribe(self, subscriber: Subscriber) -> None:
        """Serve a subscriber. Raises InvalidChannel, UnknownChannel, ShuttingDown."""
        channel = subscriber.channel
        kind = self.types.resolve(channel)
        if self.closing:
            raise ShuttingDown("this server is about to stop; connect again in a moment")
        if (feed := self._feeds.get(channel)) is None:
            feed = self._feeds[channel] = Feed(
                channel, kind, self._metrics.counters[kind.name], self
            )
            self._settle(channel)
        if kind.presence:
            self.nodes.join(subscriber)
        feed.join(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Write nothing more to a subscriber that `subscribe` took. Raises nothing: whatever goes wrong, nothing of it may stay."""
        for step in (
            subscription_log.ended,
            self._leave_feed,
            self.nodes.unwatch,
            self._endings.discard,
            self._leave_presence,
        ):
            try:
                step(subscriber)
            except Exception as error:
                self.faults.note(
                    "unsubscribe", error, session=subscriber.session, channel=subscriber.channel
                )

    def _leave_feed(self, subscriber: Subscriber) -> None:
        channel = subscriber.channel
        if (
            feed := self._feeds.get(channel)
        ) is not None:  # gone when a policy ended its last readers together
            feed.leave(subscriber)
            if not feed:
                del self._feeds[channel]
                self._caught_up(channel)
                self._settle(channel)

    def _leave_presence(self, subscriber: Subscriber) -> None:
        if self.types.resolve(subscriber.channel).presence:
            self.nodes.leave(subscriber)

    def congested(self, subscriber: Subscriber) -> None:
        """A subscriber's writer is full."""
        if (feed := self._feeds.get(subscriber.channel)) is not None:
            feed.congested(subscriber)

    def drained(self, subscriber: Subscriber) -> None:
        """A subscriber's writer has room again."""
        if (feed := self._feeds.get(subscriber.channel)) is not None:
            feed.drained(subscriber)
        if subscriber.watching:
            self.nodes.drained(subscriber)

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        """Its channel's members as message fields; what changes is written to it from now on."""
        if self.types.resolve(subscriber.channel).presence:
            return self.nodes.watch(subscriber)
        return {"count": 0, "members": []}

    def members(self, channel: str) -> list[str]:
        """Ids, in the order of arrival; none where presence is not kept. Raises InvalidChannel, UnknownChannel."""
        self.types.resolve(channel)
        return self.nodes.members(channel)

    # State

    def unready(self) -> dict[str, str]:
        """What is not ready, and why."""
        reasons = {}
        if self._tasks is None:
            reasons["hub"] = "ended" if self.ended else "not started"
        if self.draining:
            reasons["server"] = "about to stop"
        if why := self._broker.unready():
            reasons["broker"] = why
        return reasons

    async def readings(self) -> AsyncIterator[Reading]:
        """Channels and subscriptions by type, and whether the broker can be used, for metrics."""
        yield (
            "eventhub_broker_up",
            "Whether the broker can be used",
            {(): self._broker.unready() is None},
            (),
        )
        names = [kind.name for kind in self.types]
        channels = {(name,): 0 for name in names}
        subscriptions = dict(channels)
        for number, feed in enumerate(list(self._feeds.values()), 1):
            channels[(feed.kind.name,)] += 1
            subscriptions[(feed.kind.name,)] += len(feed)
            if number % READ_SLICE == 0:
                await asyncio.sleep(0)
        yield "eventhub_channels", "Channels with subscribers on this node", channels, ("type",)
        yield "eventhub_subscriptions", "Subscriptions on this node", subscriptions, ("type",)

    # Feeds: input and output

    def read(
        self,
        feed: Feed,
        subscriber: Subscriber | None,
        since: Position | Earliest | Last | Age,
        generation: int,
    ) -> None:
        """FeedIO: read history for a feed. Who asks for what is being read, or has just been read, gets the same slice."""
        self._reads.ask((feed, since, generation), subscriber)

    def dirty(self, feed: Feed) -> None:
        """FeedIO: flush soon. Two ticks later, so that what arrives together is written together."""
        self._dirty.setdefault(feed, time.perf_counter())
        if not self._flushing:
            self._flushing = True
            assert self._loop is not None
            self._loop.call_soon(self._loop.call_soon, self._flush)

    def fell_behind(self, feed: Feed) -> None:
        """FeedIO: publishers of this node wait until it is not `behind`."""
        if self._serves(feed):
            self._behind.setdefault(feed.channel, asyncio.Event())

    def began(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        """FeedIO: note it."""
        subscription_log.began(subscriber, start)

    def missed(self, channel: str, gap: Gap, subscriber: Subscriber | None, readers: int) -> None:
        """FeedIO: note it."""
        subscription_log.missed(channel, gap, subscriber, readers)

    def fail(self, subscriber: Subscriber, error: EventHubError) -> None:
        """FeedIO: end a connection soon."""
        self._endings.add(subscriber, error)

    def broke(self, subscriber: Subscriber, error: Exception) -> None:
        """FeedIO: end a connection soon that something unforeseen went wrong for."""
        self.faults.note(
            "subscriber", error, session=subscriber.session, channel=subscriber.channel
        )
        self._endings.add(subscriber, internal())

    def unwritable(self, event: Event, error: Exception) -> None:
        """FeedIO: note it."""
        self.faults.note("encoding", error, channel=event.channel, position=str(event.position))

    def _soon(self, work: Callable[[], None]) -> None:
        assert self._loop is not None
        self._loop.call_soon(work)

    def _flush(self) -> None:
        room = TICK_WRITES
        while self._dirty and room > 0:
            feed, begin = self._dirty.popitem(last=False)
            try:
                room -= feed.live.advance(min(room, SLICE_WRITES))
                if events := feed.live.written:
                    feed.live.written = []
                    self._fanned_out(feed, events, time.perf_counter() - begin)
                if feed.live.due:
                    self._dirty[feed] = begin  # behind the others: each channel gets its slice
                feed.flushed()
                if self._behind and not feed.behind and self._serves(feed):
                    self._caught_up(feed.channel)
            except Exception as error:
                self._mend(feed.channel, error)  # the others get theirs
        self._flushing = bool(self._dirty)
        if self._flushing:
            assert self._loop is not None
            self._loop.call_soon(self._flush)

    def _caught_up(self, channel: str) -> None:
        if (behind := self._behind.pop(channel, None)) is not None:
            behind.set()

    def _fanned_out(self, feed: Feed, events: list[Event], seconds: float) -> None:
        now = self.now()
        try:
            self._metrics.flushed(
                feed.kind.name, (max(0, now - event.time) / 1000 for event in events), seconds
            )
        except Exception as error:
            self.faults.note("metrics", error)
        if self.tracing is not None:
            self.tracing.fanned_out(feed.channel, events, seconds, len(feed.live))

    def _deliver(self, event: Event) -> None:
        if (feed := self._feeds.get(event.channel)) is not None:
            try:
                feed.deliver(event)
            except Exception as error:
                self._mend(event.channel, error)

    def _gap(self, channel: str) -> None:
        if (feed := self._feeds.get(channel)) is not None:
            try:
                feed.gap()
            except Exception as error:
                self._mend(channel, error)

    def _mend(self, channel: str, error: Exception) -> None:
        """It shall cost neither the broker's task nor other channels: history says what is missing."""
        self.faults.note("channel", error, channel=channel)
        if channel not in self._broken and self._loop is not None:
            self._broken.add(channel)
            self._loop.call_later(
                RETRY_SECONDS, self._make_whole, channel
            )  # it may go wrong again: not at once

    def _make_whole(self, channel: str) -> None:
        self._broken.discard(channel)
        now = time.monotonic()
        first, tries = self._tries.pop(channel, (now, 0))
        if now - first > TRIES_SECONDS:
            first, tries = now, 0
        if tries >= TRIES:
            self._give_up(channel)
            return
        if channel in self._feeds:
            self._tries[channel] = first, tries + 1
            assert self._loop is not None
            self._loop.call_later(TRIES_SECONDS, self._forget_tries, channel, first)
        self._gap(channel)
        if (feed := self._feeds.get(channel)) is not None and (feed.live.due or feed.behind):
            self.dirty(feed)  # which it was not any more when it failed while it was written

    def _forget_tries(self, channel: str, first: float) -> None:
        if self._tries.get(channel, (None, 0))[0] == first:
            del self._tries[channel]

    def _give_up(self, channel: str) -> None:
        """End all readers of a channel that cannot be served as it is. They come back, and resume, to a feed that is made anew."""
        if (feed := self._feeds.pop(channel, None)) is not None:
            self._caught_up(channel)
            self._settle(channel)
            for subscriber in feed.subscribers:
                feed.leave(subscriber)
                self._endings.add(subscriber, internal())

    def _give(self, asked: Asked, subscriber: Subscriber | None, piece: HistoryPage) -> None:
        feed, since, generation = asked
        if self._serves(feed):
            try:
                feed.page(subscriber, since, piece, generation)
            except Exception as error:
                self._mend(feed.channel, error)

    def _lose(self, asked: Asked, subscriber: Subscriber | None, error: Exception) -> None:
        """A slice cannot be read, and asking again would not help: end whoever waits for it."""
        feed, since, _ = asked
        self.faults.note("history", error, channel=feed.channel, since=str(since))
        if not self._serves(feed):
            return
        if subscriber is None:
            self._give_up(feed.channel)
        else:
            feed.leave(subscriber)
            self._endings.add(subscriber, internal())

    def _serves(self, feed: Feed) -> bool:
        return self._feeds.get(feed.channel) is feed

    # The broker's announcements follow the feeds

    def _settle(self, channel: str) -> None:
        if channel not in self._settling:
            self._settling.add(channel)
            self.spawn(self._announce(channel), "announcements", lambda _: self._give_up(channel))

    async def _announce(self, channel: str) -> None:
        """Subscribe at the broker while the channel has a feed; at most one of these runs for a channel."""
        try:
            opened: Feed | None = None
            while (feed := self._feeds.get(channel)) is not opened or (
                feed is None and channel in self._announced
            ):
                try:
                    opened = await self._switch(channel, feed)
                except BrokerUnavailable as error:
                    log.warning("subscribe_unavailable", channel=channel, reason=error.message)
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._settling.discard(channel)

    async def _switch(self, channel: str, feed: Feed | None) -> Feed | None:
        if feed is None:
            await self._broker.unsubscribe(channel)
            self._announced.discard(channel)
            return None
        position = await self._broker.subscribe(channel)
        self._announced.add(channel)
        if self._feeds.get(channel) is feed:
            feed.opened(position)
        return feed

    def spawn(
        self, work: Coroutine[Any, Any, None], where: str, failed: Callable[[EventHubError], None]
    ) -> None:
        """Run what belongs to a connection, a channel or a question, until done or until the hub ends; not at all when it is ending.

        A fault ends no other task: it is noted, and `failed` ends what the work belongs to.
        """
        if self._tasks is None:
            work.close()
            assert self.ended, "Hub.run is not running"
            return
        contained = self.faults.contained(where, work, failed)
        try:
            task = self._tasks.create_task(contained)
        except (
            RuntimeError
        ):  # the group is being cancelled, and a broker may still have something to say
            work.close()
            contained.close()
        else:
            task.add_done_callback(
                lambda _: work.close()
            )  # cancelled before its first step it would never be awaited
