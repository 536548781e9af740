"""The hub for programs with an event loop: thin I/O around `publishing` and `following`."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, TypeVar, overload

import httpx

from eventhub_client.address import Address
from eventhub_client.credentials import Credentials, Token, authorization
from eventhub_client.cursors import Cursor
from eventhub_client.following import Follower, Subscription
from eventhub_client.items import Event, Gap, Receipt, Signal
from eventhub_client.link import Link
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
from eventhub_client.wire import (
    TRANSIENT,
    answer_of,
    unreachable,
)

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
        self._address = Address.of(url)
        self._credentials = Credentials(token, key)
        self._tls = tls
        self._rules = Rules(renewable=self._credentials.are_renewable)
        self._client: httpx.AsyncClient | None = None

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
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def publish(
        self,
        channel: str,
        data: object,
        *,
        attributes: Mapping[str, str] | None = None,
        key: str | None = None,
        timeout: float = 30.0,
    ) -> Receipt:
        """Publish one event: JSON, a pydantic model or a dataclass.

        It is repeated until it is answered, at most for `timeout` seconds, and stored once. `key`
        makes several calls one event. Raises Refused, or Unavailable after the timeout.
        """
        delivery = Delivery(timeout, attributes, key)
        return await self._publish(publish_one(channel, data, delivery, self._rules))

    async def publish_many(
        self,
        channel: str,
        items: Iterable[object],
        *,
        key: str | None = None,
        timeout: float = 30.0,
    ) -> list[Outcome]:
        """Publish events in their order. One result for each: its Receipt, or its HubError."""
        delivery = Delivery(timeout, None, key)
        return await self._publish(publish_many(channel, items, delivery, self._rules))

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
        await self._publish(send_signal(channel, data, attributes, timeout, self._rules))

    @overload
    def follow(
        self,
        *channels: str,
        model: None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
        signals: Literal[False] = False,
        where: str | None = None,
    ) -> AsyncGenerator[Event[Any] | Gap, None]: ...

    @overload
    def follow(
        self,
        *channels: str,
        model: Callable[..., T],
        since: str = "latest",
        cursor: Cursor | None = None,
        signals: Literal[False] = False,
        where: str | None = None,
    ) -> AsyncGenerator[Event[T] | Gap, None]: ...

    @overload
    def follow(
        self,
        *channels: str,
        model: None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
        signals: bool,
        where: str | None = None,
    ) -> AsyncGenerator[Event[Any] | Gap | Signal, None]: ...

    @overload
    def follow(
        self,
        *channels: str,
        model: Callable[..., T],
        since: str = "latest",
        cursor: Cursor | None = None,
        signals: bool,
        where: str | None = None,
    ) -> AsyncGenerator[Event[T] | Gap | Signal, None]: ...

    async def follow(
        self,
        *channels: str,
        model: Callable[..., Any] | None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
        signals: bool = False,
        where: str | None = None,
    ) -> AsyncGenerator[Event[Any] | Gap | Signal, None]:
        """The events of these channels, and gaps, for ever. It reconnects and resumes by itself.

        `since` is where a channel begins that is not in the `cursor`. The cursor is stored when the
        next item is asked for. With `signals`, Signal items come between them. `where` is a
        filter of the events of all channels. Raises Refused, and InvalidData for an event that
        `model` refuses.
        """
        positions = cursor.load() if cursor is not None else {}
        renewable = self._credentials.are_renewable
        steps = Follower(
            Subscription(channels, since, positions, renewable, signals, where)
        ).steps()
        link = Link(self._address, self._credentials, self._tls)
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
                        reply = await link.take(step)
        finally:
            await link.close()

    async def _publish(self, steps: Generator[PublishStep, Reply, T]) -> T:
        reply: Reply = None
        while True:
            try:
                step = steps.send(reply)
            except StopIteration as end:
                result: T = end.value
                return result
            reply = await self._take(step)

    async def _take(self, step: PublishStep) -> Reply:
        match step:
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case RenewToken():
                with suppress(*TRANSIENT):  # the next answer shows whether it matters
                    await self._credentials.renew()
            case Post():
                return await self._post(step)
        return None

    async def _post(self, step: Post) -> Reply:
        if self._client is None:
            self._client = httpx.AsyncClient(verify=self._tls or True)
        try:
            headers = {**step.headers, **authorization(await self._credentials.newest())}
            return answer_of(
                await asyncio.wait_for(
                    self._client.post(
                        self._address.http + step.path,
                        content=step.body,
                        headers=headers,
                        timeout=step.seconds,
                    ),
                    step.seconds,
                )
            )
        except (*TRANSIENT, asyncio.TimeoutError) as failure:
            return unreachable(failure)
