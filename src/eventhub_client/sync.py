"""The hub for programs without an event loop: scripts, threads and prefork workers."""

import os
import ssl
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

import httpx

from eventhub_client.address import Address
from eventhub_client.credentials import Credentials, authorization
from eventhub_client.cursors import Cursor
from eventhub_client.following import Follower, Subscription
from eventhub_client.items import Event, Gap, Receipt, Signal
from eventhub_client.payloads import item_of
from eventhub_client.publishing import (
    Delivery,
    Outcome,
    Rules,
    publish_many,
    publish_one,
    send_signal,
)
from eventhub_client.steps import (
    Deliver,
    Post,
    PublishStep,
    RenewToken,
    Reply,
    Store,
    Wait,
)
from eventhub_client.sync_link import SyncLink
from eventhub_client.wire import (
    TRANSIENT,
    answer_of,
    unreachable,
)

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
        self._address = Address.of(url)
        self._credentials = Credentials(token, key)
        self._tls = tls
        self._rules = Rules(renewable=self._credentials.are_renewable)
        self._clients: dict[int, httpx.Client] = {}
        """By process. Those of the parent are kept: closing them would write to its sockets."""

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
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    def publish(
        self,
        channel: str,
        data: object,
        *,
        attributes: Mapping[str, str] | None = None,
        key: str | None = None,
        timeout: float = 30.0,
    ) -> Receipt:
        """As `Hub.publish`."""
        delivery = Delivery(timeout, attributes, key)
        return self._publish(publish_one(channel, data, delivery, self._rules))

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
        return self._publish(publish_many(channel, items, delivery, self._rules))

    def signal(
        self,
        channel: str,
        data: object,
        *,
        attributes: Mapping[str, str] | None = None,
        timeout: float = 5.0,
    ) -> None:
        """As `Hub.signal`."""
        self._publish(send_signal(channel, data, attributes, timeout, self._rules))

    @overload
    def follow(
        self,
        *channels: str,
        model: None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
        signals: Literal[False] = False,
        where: str | None = None,
    ) -> Iterator[Event[Any] | Gap]: ...

    @overload
    def follow(
        self,
        *channels: str,
        model: Callable[..., T],
        since: str = "latest",
        cursor: Cursor | None = None,
        signals: Literal[False] = False,
        where: str | None = None,
    ) -> Iterator[Event[T] | Gap]: ...

    @overload
    def follow(
        self,
        *channels: str,
        model: None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
        signals: bool,
        where: str | None = None,
    ) -> Iterator[Event[Any] | Gap | Signal]: ...

    @overload
    def follow(
        self,
        *channels: str,
        model: Callable[..., T],
        since: str = "latest",
        cursor: Cursor | None = None,
        signals: bool,
        where: str | None = None,
    ) -> Iterator[Event[T] | Gap | Signal]: ...

    def follow(
        self,
        *channels: str,
        model: Callable[..., Any] | None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
        signals: bool = False,
        where: str | None = None,
    ) -> Iterator[Event[Any] | Gap | Signal]:
        """As `Hub.follow`."""
        positions = cursor.load() if cursor is not None else {}
        renewable = self._credentials.are_renewable
        steps = Follower(
            Subscription(channels, since, positions, renewable, signals, where)
        ).steps()
        link = SyncLink(self._address, self._credentials, self._tls)
        reply: Reply = None
        try:
            while True:
                match steps.send(reply):
                    case Deliver(message):
                        yield item_of(message, model)
                        reply = None
                    case Store(positions_now):
                        if cursor is not None:
                            cursor.store(positions_now)
                        reply = None
                    case step:
                        reply = link.take(step)
        finally:
            link.close()

    def _publish(self, steps: Generator[PublishStep, Reply, T]) -> T:
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = self._take(step)

    def _take(self, step: PublishStep) -> Reply:
        match step:
            case Wait(seconds):
                time.sleep(seconds)
            case RenewToken():
                with suppress(*TRANSIENT):  # the next answer shows whether it matters
                    self._credentials.renew_now()
            case Post():
                return self._post(step)
        return None

    def _post(self, step: Post) -> Reply:
        process = os.getpid()
        if process not in self._clients:
            self._clients.setdefault(process, httpx.Client(verify=self._tls or True))
        try:
            headers = {**step.headers, **authorization(self._credentials.newest_now())}
            return answer_of(
                self._clients[process].post(
                    self._address.http + step.path,
                    content=step.body,
                    headers=headers,
                    timeout=step.seconds,
                )
            )
        except TRANSIENT as failure:
            return unreachable(failure)


Hub = SyncHub
"""`from eventhub_client.sync import Hub`."""
