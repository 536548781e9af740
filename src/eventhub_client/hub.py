"""The hub for programs with an event loop."""

import ssl
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

from eventhub_client.async_transport import AsyncRuntime, AsyncTransport
from eventhub_client.client import AnyItem, Client, subscription_of
from eventhub_client.credentials import Token
from eventhub_client.cursors import Cursor
from eventhub_client.items import (
    Deletion,
    Event,
    Item,
    Loaded,
    Member,
    Presence,
    Receipt,
    Signal,
    State,
)
from eventhub_client.loading import Load, Loading
from eventhub_client.members import Membership
from eventhub_client.outbox import WAITING, OnRefused, Waiting
from eventhub_client.positions import Watch
from eventhub_client.publisher import Publisher
from eventhub_client.publishing import (
    Delivery,
    Outcome,
    delete_key,
    expected,
    publish_many,
    publish_one,
    send_signal,
)
from eventhub_client.reading import read_members, read_state

S = TypeVar("S")
T = TypeVar("T")


class Hub:
    """An EventHub. `token` is a token or a function that returns one; `key` is an API key.

    Nothing is sent before the first call. A hub belongs to one event loop.
    """

    def __init__(
        self,
        url: str,
        *,
        token: Token | None = None,
        key: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._client = Client(url, token, key, AsyncTransport(tls), AsyncRuntime())
        self._call, self._rules = self._client.call, self._client.rules

    async def __aenter__(self) -> "Hub":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections of publishes. Followers close when their loop ends."""
        await self._client.transport.close()

    async def publish(
        self,
        channel: str,
        data: object,
        *,
        attributes: Mapping[str, str] | None = None,
        key: str | None = None,
        if_match: str | None = None,
        if_none_match: bool = False,
        refers: str | None = None,
        relation: str | None = None,
        timeout: float = 30.0,
    ) -> Receipt:
        """Publish one event: JSON, a pydantic model or a dataclass.

        It is repeated until it is answered, at most for `timeout` seconds, and stored once. `key`
        makes several calls one event. With `if_match` it is stored only if this is the id of the
        newest event of its key, with `if_none_match` only if there is none; otherwise Conflict is
        raised. `refers` is the id of an event that this one is the `relation` of: an edit, reaction
        or delete (`data` is None then). Raises Refused, or Unavailable after the timeout.
        """
        if_match = expected(if_match, if_none_match=if_none_match)
        delivery = Delivery(timeout, attributes, key, if_match, refers, relation)
        return await self._call(publish_one(channel, data, delivery, self._rules))

    async def publish_many(
        self,
        channel: str,
        items: Iterable[object],
        *,
        key: str | None = None,
        timeout: float = 30.0,
    ) -> list[Outcome]:
        """Publish events in their order. One result for each: its Receipt, or its HubError."""
        steps = publish_many(channel, items, Delivery(timeout, None, key), self._rules)
        return await self._call(steps)

    def publisher(
        self,
        channel: str,
        *,
        waiting: Waiting = WAITING,
        timeout: float = 30.0,
        on_refused: OnRefused | None = None,
    ) -> Publisher:
        """A publisher for many events, which is used as a context.

        An event that the server refuses ends it, unless `on_refused` takes the event and its error.
        """
        return Publisher(self._client, channel, waiting, timeout, on_refused)

    async def delete(
        self,
        channel: str,
        name: str,
        *,
        attributes: Mapping[str, str] | None = None,
        key: str | None = None,
        if_match: str | None = None,
        timeout: float = 30.0,
    ) -> Receipt:
        """Take a key, `name`, out of the state of a channel. The options are those of `publish`."""
        delivery = Delivery(timeout, attributes, key, if_match)
        return await self._call(delete_key(channel, name, delivery, self._rules))

    async def signal(
        self,
        channel: str,
        data: object,
        *,
        attributes: Mapping[str, str] | None = None,
        timeout: float = 5.0,
    ) -> None:
        """Send a signal to those who are there now: JSON, a pydantic model or a dataclass.

        It is stored nowhere and never sent twice. Raises Refused, or Unavailable.
        """
        await self._call(send_signal(channel, data, attributes, timeout, self._rules))

    @overload
    async def state(
        self, channel: str, *, model: None = None, where: str | None = None, timeout: float = 30.0
    ) -> State[Any]: ...

    @overload
    async def state(
        self,
        channel: str,
        *,
        model: Callable[..., T],
        where: str | None = None,
        timeout: float = 30.0,
    ) -> State[T]: ...

    async def state(
        self,
        channel: str,
        *,
        model: Callable[..., Any] | None = None,
        where: str | None = None,
        timeout: float = 30.0,
    ) -> State[Any]:
        """The newest event of each key. Raises Refused, Unavailable, or InvalidData."""
        return await self._call(read_state(channel, model, where, timeout, self._rules))

    async def presence(self, channel: str, *, timeout: float = 30.0) -> list[Member]:
        """Who is in a channel, on all nodes. Raises Refused, or Unavailable."""
        return await self._call(read_members(channel, timeout, self._rules))

    @overload
    def follow(
        self,
        *channels: str,
        model: None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
        where: str | None = None,
        member: Membership | None = None,
        signals: Literal[False] = False,
        presence: Literal[False] = False,
    ) -> AsyncGenerator[Item[Any], None]: ...

    @overload
    def follow(
        self,
        *channels: str,
        model: Callable[..., T],
        since: str = "latest",
        cursor: Cursor | None = None,
        where: str | None = None,
        member: Membership | None = None,
        signals: Literal[False] = False,
        presence: Literal[False] = False,
    ) -> AsyncGenerator[Item[T], None]: ...

    @overload
    def follow(
        self,
        *channels: str,
        model: Callable[..., T],
        since: str = "latest",
        cursor: Cursor | None = None,
        where: str | None = None,
        member: Membership | None = None,
        signals: bool = False,
        presence: Watch = False,
    ) -> AsyncGenerator[Item[T] | Signal | Presence, None]: ...

    @overload
    def follow(
        self,
        *channels: str,
        model: None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
        where: str | None = None,
        member: Membership | None = None,
        signals: bool = False,
        presence: Watch = False,
    ) -> AsyncGenerator[AnyItem, None]: ...

    async def follow(
        self,
        *channels: str,
        model: Callable[..., Any] | None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
        where: str | None = None,
        member: Membership | None = None,
        signals: bool = False,
        presence: Watch = False,
    ) -> AsyncGenerator[AnyItem, None]:
        """The events of these channels, and gaps, for ever. It reconnects and resumes by itself.

        `since` is where a channel begins that is not in the `cursor`. The cursor is stored when the
        next item is asked for. `where` is a filter of the events of all channels. `member` lists
        this client in their presence. With `signals`, Signal items come between the events; with
        `presence`, Presence items tell who is there. Raises Refused, and InvalidData for an event
        that `model` refuses.
        """
        subscription = subscription_of(
            channels,
            since,
            cursor,
            renewable=self._rules.renewable,
            signals=signals,
            where=where,
            member=member,
            presence=presence,
        )
        following = self._client.follow(subscription, cursor, model)
        try:
            while True:
                yield await following.next()
        finally:
            await following.close()

    @overload
    def load_then_follow(
        self, channel: str, load: Load[S], *, model: None = None, where: str | None = None
    ) -> AsyncGenerator[Loaded[S] | Event[Any] | Deletion, None]: ...

    @overload
    def load_then_follow(
        self, channel: str, load: Load[S], *, model: Callable[..., T], where: str | None = None
    ) -> AsyncGenerator[Loaded[S] | Event[T] | Deletion, None]: ...

    async def load_then_follow(
        self,
        channel: str,
        load: Load[Any],
        *,
        model: Callable[..., Any] | None = None,
        where: str | None = None,
    ) -> AsyncGenerator[Loaded[Any] | Event[Any] | Deletion, None]:
        """State from a database of your own, as Loaded, then the events from its position.

        `load` gets the channel's position and returns `Loaded(state, position)`: with this position
        or one that the database stores. When events are missing, another Loaded comes.
        """
        loading = Loading(self._client, channel, load, model, where)
        try:
            while True:
                yield await loading.next()
        finally:
            await loading.close()
