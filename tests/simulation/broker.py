"""A model of a broker that several nodes share. It promises what `Broker` says, and no more.

The store is one machine, reached by each node over a link of its own. A link delays, and its
requests and announcements may be lost. After a loss, `gap` comes once the link works again, perhaps
before announcements that are older. Announcements may come twice. Broadcasts come in order, at most
once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from functools import partial
from typing import TypeVar

from eventhub.brokers.base import Deliver, OnBirth, OnGap, OnMessage, OnSignal, no_signals
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.event import ChannelPage, Event, HistoryPage, NewEvent, Position, Receipt
from eventhub.events.signal import Signal
from tests.harness.builders import Asked
from tests.simulation.chance import Chance
from tests.simulation.hearing import Hearing
from tests.simulation.pipe import Pipe
from tests.simulation.store import Store

T = TypeVar("T")

TIMEOUT = 2.0
"""Seconds after which a request has failed."""
REPEATED = 3
"""Announcements of a channel that may come once more."""


class ModelBroker:
    """One node's side of the store (`Broker`). `wall` is the node's clock."""

    offset_step = 1
    publish_now = publish_all_now = publish_later = None  # its store is slow

    def __init__(self, store: Store, node: str, context: Context, wall: Callable[[], int]) -> None:
        self.announced: set[str] = set()
        """The channels that are announced to this node."""
        self.cut_off = False
        self.reads = 0
        """Pages of history that were asked for."""
        self.unheard: set[str] = set()
        """Nodes whose broadcasts do not reach this one."""
        self.drops: Callable[[bytes], bool] = _never
        """Whether a broadcast does not reach this node."""
        self.hearing = Hearing(store.loop.time)
        self._store = store
        self._node = node
        self._wall = wall
        self._loop, self._chance, self._weather = store.loop, store.chance, store.weather
        self._announcements = Pipe(store.loop, self._delay, context)
        self._sent = Pipe(store.loop, self._delay)
        self._gaps = Pipe(store.loop, self._delay, context)
        self._messages = Pipe(store.loop, self._delay, context)
        # Births have chances of their own, so that a seed keeps its run where nobody needs them.
        self._luck = Chance(len(store.links))
        self._births = Pipe(
            store.loop, lambda: self._luck.between(0.001, self._weather.delay), context
        )
        self._recent: dict[str, deque[Event]] = {}
        self._connections = 0
        self._trouble: dict[str, float] = {}
        self._running: tuple[Deliver, OnGap, OnMessage, OnBirth] | None = None
        self.on_signal: OnSignal = no_signals

    # Broker

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        return await self._request(partial(self._store.publish, events))

    async def history(self, channel: str, since: Asked, limit: int) -> HistoryPage:
        self.reads += 1
        return await self._request(partial(self._read, channel, since, limit), reads=True)

    async def channels(self, pattern: ChannelPattern, after: str, limit: int) -> ChannelPage:
        return await self._request(partial(self._store.channels, pattern, after, limit), reads=True)

    async def subscribe(self, channel: str) -> Position:
        new = channel not in self.announced
        try:
            return await self._request(partial(self._subscribe, channel), reads=True)
        except BaseException:
            if new:
                self.announced.discard(channel)
            raise

    async def unsubscribe(self, channel: str) -> None:
        self.announced.discard(channel)
        await asyncio.sleep(self._delay())

    async def broadcast(self, message: bytes) -> None:
        if self.cut_off:
            raise BrokerUnavailable("the link is down")
        self._sent.send(self._fan_out, message)
        await asyncio.sleep(0)

    def signal(self, signal: Signal) -> None:
        if self.cut_off:
            raise BrokerUnavailable("the link is down")
        self._sent.send(self._pass_signal, signal)

    async def run(self, deliver: Deliver, gap: OnGap, on_message: OnMessage, born: OnBirth) -> None:
        self._running = deliver, gap, on_message, born
        born(None)
        try:
            await self._loop.create_future()
        finally:
            self._running = None

    def unready(self) -> str | None:
        return "the link is down" if self.cut_off else None

    def at_peace(self, node: str) -> float:
        """Since when no broadcast between that node and this one was lost or late."""
        return self._trouble.get(node, 0.0)

    def mark_trouble(self) -> None:
        """Broadcasts between this node and all others may be lost, or late."""
        for node, link in self._store.links.items():
            self._trouble[node] = link._trouble[self._node] = self._loop.time()

    # What happens to the link

    def cut(self) -> None:
        """Nothing gets through, in either direction."""
        self.mark_trouble()
        self.cut_off = True
        self._connections += 1
        for pipe in (self._announcements, self._births, self._gaps, self._sent, self._messages):
            pipe.cut()

    def heal(self) -> None:
        """Everything gets through again. What was announced meanwhile is not."""
        self.unheard.clear()
        self.drops = _never
        if self.cut_off:
            self.mark_trouble()
            self.cut_off = False
            for channel in sorted(self.announced):
                self._gaps.send(self._gap, channel)
            self._births.send(self._born, None)

    def tell_of_birth(self, channel: str) -> None:
        """Tell the node of a channel's first event, unless that gets lost."""
        if self.cut_off:
            return
        if self._luck.happens(self._weather.loses):
            after = self._luck.between(0, 1.5)
            self._loop.call_later(after, self._births.send, self._born, None)
        else:
            self._births.send(self._born, channel)

    def announce(self, event: Event) -> None:
        """Tell the node of an event, unless that gets lost."""
        if self.cut_off:
            return
        if self._chance.happens(self._weather.loses):
            self.report_gap(event.channel)
            return
        recent = self._recent.setdefault(event.channel, deque(maxlen=REPEATED))
        if recent and recent[-1].epoch != event.epoch:
            recent.clear()
        recent.append(event)
        again = list(recent) if self._chance.happens(self._weather.repeats) else []
        for each in (event, *again):
            self._announcements.send(self._deliver, each)

    def tell_of_gap(self, channel: str) -> None:
        """Announcements may be missing."""
        self._gaps.send(self._gap, channel)

    def report_gap(self, channel: str) -> None:
        """Notice after a while that announcements may be missing."""
        after = self._chance.between(0, 1.5)
        self._loop.call_later(after, self._gaps.send, self._gap, channel)

    # Private: on the node

    def _deliver(self, event: Event) -> None:
        if self._running is not None:
            self._store.note("announced", self._node, event.channel, event.position)
            self._running[0](event)

    def _gap(self, channel: str) -> None:
        if self._running is not None:
            self._store.note("gap", self._node, channel)
            self._running[1](channel)

    def _born(self, channel: str | None) -> None:
        if self._running is not None:
            self._store.note("born", self._node, channel)
            self._running[3](channel)

    def _hear(self, sender: str, message: bytes) -> None:
        self.hearing.hear(sender, message)
        if self._running is not None:
            self._running[2](message)

    def _take_signal(self, signal: Signal) -> None:
        if self._running is not None:
            self.on_signal(signal)

    async def _request(self, work: Callable[[], T], *, reads: bool = False) -> T:
        """Let the store do something, and wait for its answer.

        What only `reads` is not done any more when nobody waits for it.
        """
        if self.cut_off:
            await asyncio.sleep(0.01)
            raise BrokerUnavailable("the link is down")
        answer: asyncio.Future[T] = self._loop.create_future()
        wanted = (lambda: not answer.done()) if reads else _always
        after = self._delay() + self._chance.between(0, self._weather.disk)
        self._loop.call_later(
            after, self._arrive, self._connections, work, answer, wanted, context=Context()
        )
        try:
            async with asyncio.timeout(TIMEOUT):
                return await answer
        except TimeoutError:
            raise BrokerUnavailable("no answer") from None

    # Private: at the store

    def _arrive(
        self,
        connection: int,
        work: Callable[[], T],
        answer: asyncio.Future[T],
        wanted: Callable[[], bool],
    ) -> None:
        if connection != self._connections or not wanted():
            return
        try:
            result: T | BrokerUnavailable = work()
        except BrokerUnavailable as error:
            result = error
        self._loop.call_later(
            self._delay(), self._answer, connection, result, answer, context=Context()
        )

    def _answer(
        self, connection: int, result: T | BrokerUnavailable, answer: asyncio.Future[T]
    ) -> None:
        if connection != self._connections or answer.done():
            return
        if isinstance(result, BrokerUnavailable):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def _read(self, channel: str, since: Asked, limit: int) -> HistoryPage:
        return self._store.read(channel, since, limit, self._wall())

    def _subscribe(self, channel: str) -> Position:
        self.announced.add(channel)
        return self._store.log(channel).end

    def _fan_out(self, message: bytes) -> None:
        for link in self._store.links.values():
            lost = link.cut_off or self._node in link.unheard or link.drops(message)
            if lost or self._chance.happens(self._weather.deafens):
                self._trouble[link._node] = link._trouble[self._node] = self._loop.time()
            else:
                link._messages.send(link._hear, self._node, message)

    def _pass_signal(self, signal: Signal) -> None:
        for link in self._store.links.values():
            heard = signal.channel in link.announced and not link.cut_off
            if heard and not self._chance.happens(self._weather.loses):
                link._announcements.send(link._take_signal, signal)

    def _delay(self) -> float:
        return self._chance.between(0.001, self._weather.delay)


def _always() -> bool:
    return True


def _never(message: bytes) -> bool:
    return False
