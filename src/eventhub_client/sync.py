"""The hub for programs without an event loop: scripts, threads and prefork workers."""

import ssl
from collections.abc import Callable, Generator, Iterable, Mapping
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

from eventhub_client.client import AnyItem, Client, subscription_of
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
from eventhub_client.sync_publisher import SyncPublisher
from eventhub_client.sync_transport import SyncRuntime, SyncTransport
from eventhub_client.transport import run

S = TypeVar("S")
T = TypeVar("T")


class SyncHub:
    """As `Hub`, with plain methods.

    Threads may share it. It may be used after a fork: each process opens its own connections.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | Callable[[], str] | None = None,
        key: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._client = Client(url, token, key, SyncTransport(tls), SyncRuntime())
        self._call, self._rules = self._client.call, self._client.rules

    def __enter__(self) -> "SyncHub":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections of publishes. Followers close when their loop ends."""
        run(self._client.transport.close())

    def publish(
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
        """As `Hub.publish`."""
        test = expected(if_match, if_none_match=if_none_match)
        delivery = Delivery(timeout, attributes, key, test, refers, relation)
        return run(self._call(publish_one(channel, data, delivery, self._rules)))

    def publish_many(
        self,
        channel: str,
        items: Iterable[object],
        *,
        key: str | None = None,
        timeout: float = 30.0,
    ) -> list[Outcome]:
        """As `Hub.publish_many`."""
        delivery = Delivery(timeout, None, key)
        return run(self._call(publish_many(channel, items, delivery, self._rules)))

    def publisher(
        self,
        channel: str,
        *,
        waiting: Waiting = WAITING,
        timeout: float = 30.0,
        on_refused: OnRefused | None = None,
    ) -> SyncPublisher:
        """As `Hub.publisher`."""
        return SyncPublisher(Publisher(self._client, channel, waiting, timeout, on_refused))

    def delete(
        self,
        channel: str,
        name: str,
        *,
        attributes: Mapping[str, str] | None = None,
        key: str | None = None,
        if_match: str | None = None,
        timeout: float = 30.0,
    ) -> Receipt:
        """As `Hub.delete`."""
        delivery = Delivery(timeout, attributes, key, if_match)
        return run(self._call(delete_key(channel, name, delivery, self._rules)))

    def signal(
        self,
        channel: str,
        data: object,
        *,
        attributes: Mapping[str, str] | None = None,
        timeout: float = 5.0,
    ) -> None:
        """As `Hub.signal`."""
        run(self._call(send_signal(channel, data, attributes, timeout, self._rules)))

    @overload
    def state(
        self, channel: str, *, model: None = None, where: str | None = None, timeout: float = 30.0
    ) -> State[Any]: ...

    @overload
    def state(
        self,
        channel: str,
        *,
        model: Callable[..., T],
        where: str | None = None,
        timeout: float = 30.0,
    ) -> State[T]: ...

    def state(
        self,
        channel: str,
        *,
        model: Callable[..., Any] | None = None,
        where: str | None = None,
        timeout: float = 30.0,
    ) -> State[Any]:
        """As `Hub.state`."""
        return run(self._call(read_state(channel, model, where, timeout, self._rules)))

    def presence(self, channel: str, *, timeout: float = 30.0) -> list[Member]:
        """As `Hub.presence`."""
        return run(self._call(read_members(channel, timeout, self._rules)))

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
    ) -> Generator[Item[Any], None, None]: ...

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
    ) -> Generator[Item[T], None, None]: ...

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
    ) -> Generator[Item[T] | Signal | Presence, None, None]: ...

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
    ) -> Generator[AnyItem, None, None]: ...

    def follow(
        self,
        *channels: str,
        model: Callable[..., Any] | None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
        where: str | None = None,
        member: Membership | None = None,
        signals: bool = False,
        presence: Watch = False,
    ) -> Generator[AnyItem, None, None]:
        """As `Hub.follow`."""
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
                yield run(following.next())
        finally:
            run(following.close())

    @overload
    def load_then_follow(
        self, channel: str, load: Load[S], *, model: None = None, where: str | None = None
    ) -> Generator[Loaded[S] | Event[Any] | Deletion, None, None]: ...

    @overload
    def load_then_follow(
        self, channel: str, load: Load[S], *, model: Callable[..., T], where: str | None = None
    ) -> Generator[Loaded[S] | Event[T] | Deletion, None, None]: ...

    def load_then_follow(
        self,
        channel: str,
        load: Load[Any],
        *,
        model: Callable[..., Any] | None = None,
        where: str | None = None,
    ) -> Generator[Loaded[Any] | Event[Any] | Deletion, None, None]:
        """As `Hub.load_then_follow`."""
        loading = Loading(self._client, channel, load, model, where)
        try:
            while True:
                yield run(loading.next())
        finally:
            run(loading.close())


Hub = SyncHub
"""`from eventhub_client.sync import Hub`."""
