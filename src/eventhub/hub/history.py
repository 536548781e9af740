"""Reads pages of history for feeds. Readers that ask for the same page share one read.

Thousands of readers may come back at once, all from the same position.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from eventhub.brokers.base import Broker
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber, SubscriberState
from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.events.event import HistoryPage, Start, asked_position

PAGE_EVENTS = 256
READERS = 50
"""How many readers of one page get it in one turn of the loop."""
RETRY_SECONDS = 0.5
CACHED_PAGES, CACHE_SECONDS = 32, 2.0
"""How many pages are kept for later readers, and for how long: a crowd that reconnects takes a few
seconds to arrive.
"""

Asked = tuple[Feed, Start, int]
"""A request for history: the feed, the start, and the feed's generation."""

Spawn = Callable[[Coroutine[Any, Any, None], str, Callable[[EventHubError], None]], None]

log = structlog.get_logger("eventhub.reads")


class HistoryReader:
    """The reads that are running, and the pages read a moment ago.

    `give` gets each page, never from inside `ask`. `lose` gets each reader whose page cannot be
    read. `wanted`: the feed still has subscribers.
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
        self._readers: dict[Asked, list[Subscriber | None]] = {}  # at most one for each subscriber
        self._cached: dict[Asked, HistoryPage] = {}

    def ask(self, asked: Asked, subscriber: Subscriber | None) -> None:
        """Read a page for one subscriber, or for the live ones of the feed when it is None."""
        if subscriber is not None and (page := self._cached.get(asked)) is not None:
            asyncio.get_running_loop().call_soon(self._give, asked, subscriber, page)
        elif (readers := self._readers.get(asked)) is not None:
            readers.append(subscriber)
        else:
            self._readers[asked] = [subscriber]
            self._spawn(
                self._read(asked), "history", lambda error: self._lose(asked, subscriber, error)
            )

    async def _read(self, asked: Asked) -> None:
        readers = self._readers[asked]
        begun = len(readers)
        try:
            page = await self._page(asked, readers)
        except Exception as error:
            for subscriber in readers:
                self._lose(asked, subscriber, error)
            return
        finally:
            del self._readers[asked]
        if page is None:
            return
        if _may_come_true(asked, page):
            # Who asked meanwhile may stand there by now: the event may have been stored.
            readers, late = readers[:begun], readers[begun:]
            for subscriber in late:
                self.ask(asked, subscriber)
        else:
            self._keep(asked, page)
        for number, subscriber in enumerate(readers, 1):
            self._give(asked, subscriber, page)
            if number % READERS == 0:
                await asyncio.sleep(0)  # with many readers, others have their turn in between

    def _keep(self, asked: Asked, page: HistoryPage) -> None:
        """Keep a page for a moment. Not an empty one: its readers would make no progress."""
        if page.events and len(self._cached) < CACHED_PAGES:
            self._cached[asked] = page
            asyncio.get_running_loop().call_later(CACHE_SECONDS, self._cached.pop, asked, None)

    async def _page(self, asked: Asked, readers: list[Subscriber | None]) -> HistoryPage | None:
        """Try until a page has been read. None when no subscriber needs it any more."""
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


def _may_come_true(asked: Asked, page: HistoryPage) -> bool:
    """Whether the log did not give the position that was asked for, and may give it next.

    A client may name a position beyond the end. A page that says so is wrong as soon as another
    reader has got the event at that position.
    """
    position = asked_position(asked[1])
    return page.lost == "reset" and position is not None and position.epoch == page.end.epoch
