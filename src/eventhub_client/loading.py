"""State from the application's own database, then the events of a channel from its position."""

import logging
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeVar

from eventhub_client.attempts import LONGEST_ATTEMPT
from eventhub_client.backoff import Backoff
from eventhub_client.client import Client, Following
from eventhub_client.errors import Unavailable
from eventhub_client.items import Deletion, Event, Gap, Loaded
from eventhub_client.payloads import Model
from eventhub_client.positions import Subscription
from eventhub_client.reading import read_position

S = TypeVar("S")
Load = Callable[[str], Loaded[S] | Awaitable[Loaded[S]]]
"""Loads the state. Its argument is the position of the channel when loading begins."""
log = logging.getLogger("eventhub_client")


class Loading:
    """One `load_then_follow`. After a gap, the state is loaded again."""

    def __init__(
        self, client: Client, channel: str, load: Load[Any], model: Model, where: str | None
    ) -> None:
        self._client = client
        self._channel = channel
        self._load = load
        self._model = model
        self._where = where
        self._backoff = Backoff(client.rules.clock, client.rules.random)
        self._following: Following | None = None

    async def next(self) -> Loaded[Any] | Event[Any] | Deletion:
        """The state, or an event after it."""
        if self._following is None:
            return await self._begin()
        item = await self._following.next()
        if isinstance(item, Gap):
            log.warning("events of %s are missing (%s): loading again", item.channel, item.reason)
            await self.close()
            await self._client.runtime.sleep(self._backoff.delay())
            return await self._begin()
        self._backoff.reset()
        assert isinstance(item, Event | Deletion)
        return item

    async def close(self) -> None:
        """End the connection."""
        following, self._following = self._following, None
        if following is not None:
            await following.close()

    async def _begin(self) -> Loaded[Any]:
        """Events while the state is loaded come after it: those that it has come again."""
        position = await self._position()
        found = self._load(position)
        loaded = await found if isawaitable(found) else found
        if not isinstance(loaded, Loaded):
            kind = type(loaded).__name__
            raise TypeError(f"received a {kind} from `load`; expected Loaded(state, position)")
        subscription = Subscription(
            (self._channel,),
            loaded.position,
            {},
            self._client.credentials.are_renewable,
            where=self._where,
        )
        self._following = self._client.follow(subscription, None, self._model)
        return loaded

    async def _position(self) -> str:
        """Where the channel is. Like all of a follower, it is repeated until it is answered."""
        found: str | None = None
        while found is None:
            try:
                found = await self._client.call(
                    read_position(self._channel, LONGEST_ATTEMPT, self._client.rules)
                )
            except Unavailable as failure:  # noqa: PERF203  # it is waited for
                log.warning("no position of %s: %s", self._channel, failure)
                await self._client.runtime.sleep(self._backoff.delay())
        return found
