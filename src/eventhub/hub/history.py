"""History for feeds. Who asks for what is being read, or has just been read, gets the same slice: thousands may come back at once."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from eventhub.brokers.base import Broker
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber, SubscriberState
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.event import Age, Earliest, HistoryPage, Last, Position

PAGE_EVENTS = 256
READERS = 50
"""Readers of one slice that get it in one turn of the loop."""
RETRY_SECONDS = 0.5
SLICES, SLICE_SECONDS = 32, 2.0
"""Slices kept for those who ask for the same soon after, and for how long: a crowd that comes back
takes a few seconds to arrive.
"""

Asked = tuple[Feed, Position | Earliest | Last | Age, int]
"""What is read: a feed's history, since when, and in which generation of the feed."""

Spawn = Callable[[Coroutine[Any, Any, None], str, Callable[[EventHubError], None]], None]

log = structlog.get_logger("eventhub.reads")


class HistoryReader:
    """What is being read, and what was. `give` gets each answer from the loop, never from inside `ask`; `wanted`: the feed still serves.

    `lose` is told for each reader that there will be no answer.
    """

    def __init__(
        self,
        broker: Broker,
        spawn: Spawn,
        give: Callable[[Asked, Subscriber | None, HistoryPage], None],
        wanted: Callable[[Feed], bool],
        lose: Callable[[Asked, Subscriber | None, Exception], None],
    ) -> None:
        self._broker = broker
        self._spawn = spawn
        self._give = give
        self._wanted = wanted
        self._lose = lose
        self._readers: dict[
            Asked, list[Subscriber | None]
        ] = {}  # bounded: one read at a time of each subscriber
        self._slices: dict[Asked, HistoryPage] = {}

    def ask(self, asked: Asked, subscriber: Subscriber | None) -> None:
        """For this reader, or for all of the feed that are live."""
        if subscriber is not None and (piece := self._slices.get(asked)) is not None:
            asyncio.get_running_loop().call_soon(self._give, asked, subscriber, piece)
        elif (readers := self._readers.get(asked)) is not None:
            readers.append(subscriber)
        else:
            self._readers[asked] = [subscriber]
            self._spawn(
                self._read(asked), "history", lambda error: self._lose(asked, subscriber, error)
            )

    async def _read(self, asked: Asked) -> None:
        readers = self._readers[asked]
        try:
            piece = await self._slice(asked, readers)
        except Exception as error:
            for subscriber in readers:
                self._lose(asked, subscriber, error)
            return
        finally:
            del self._readers[asked]
        if piece is None:
            return
        self._keep(asked, piece)
        for number, subscriber in enumerate(readers):
            self._give(asked, subscriber, piece)
            if number % READERS == READERS - 1:
                await asyncio.sleep(0)  # a crowd that comes back: others have their turn

    def _keep(self, asked: Asked, piece: HistoryPage) -> None:
        """For those who ask next. What came since they read from where it ends, so only one with events may be kept: they must get on."""
        if piece.events and len(self._slices) < SLICES:
            self._slices[asked] = piece
            asyncio.get_running_loop().call_later(SLICE_SECONDS, self._slices.pop, asked, None)

    async def _slice(self, asked: Asked, readers: list[Subscriber | None]) -> HistoryPage | None:
        """Read until it can be read, or nobody wants it any more."""
        feed, since, _ = asked
        while self._wanted(feed) and any(
            reader is None or reader.state is not SubscriberState.GONE for reader in readers
        ):
            try:
                return await self._broker.history(feed.channel, since, PAGE_EVENTS)
            except BrokerUnavailable as error:
                log.warning("history_unavailable", channel=feed.channel, reason=error.message)
                await asyncio.sleep(RETRY_SECONDS)
        return None
