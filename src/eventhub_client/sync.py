"""The hub for programs without an event loop: scripts, threads and prefork workers."""

import json
import logging
import os
import ssl
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, TypeVar, overload

import httpx
from websockets.sync.client import ClientConnection, connect

from eventhub_client.address import Address
from eventhub_client.credentials import Credentials, authorization
from eventhub_client.cursors import Cursor
from eventhub_client.following import Follower, Subscription
from eventhub_client.items import Event, Gap, Receipt, gap_of
from eventhub_client.payloads import event_of
from eventhub_client.publishing import Delivery, Outcome, Rules, publish_many, publish_one
from eventhub_client.steps import (
    Close,
    Connect,
    Connected,
    Deliver,
    FollowStep,
    Message,
    Post,
    PublishStep,
    Receive,
    RenewToken,
    Reply,
    Send,
    Silence,
    Store,
    Wait,
)
from eventhub_client.wire import (
    FAILED,
    TRANSIENT,
    WEBSOCKET_OPTIONS,
    answer_of,
    closed_of,
    message_of,
    refusal_of,
    unreachable,
)

T = TypeVar("T")
log = logging.getLogger("eventhub_client")


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

    @overload
    def follow(
        self,
        *channels: str,
        model: None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
    ) -> Iterator[Event[Any] | Gap]: ...

    @overload
    def follow(
        self,
        *channels: str,
        model: Callable[..., T],
        since: str = "latest",
        cursor: Cursor | None = None,
    ) -> Iterator[Event[T] | Gap]: ...

    def follow(
        self,
        *channels: str,
        model: Callable[..., Any] | None = None,
        since: str = "latest",
        cursor: Cursor | None = None,
    ) -> Iterator[Event[Any] | Gap]:
        """As `Hub.follow`."""
        positions = cursor.load() if cursor is not None else {}
        steps = Follower(
            Subscription(channels, since, positions, self._credentials.are_renewable)
        ).steps()
        link = _SyncLink(self._address, self._credentials, self._tls)
        reply: Reply = None
        try:
            while True:
                match steps.send(reply):
                    case Deliver(message):
                        yield (
                            event_of(message, model)
                            if message["type"] == "event"
                            else gap_of(message)
                        )
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


class _SyncLink:
    """The WebSocket of a follower, over all its connections."""

    def __init__(
        self, address: Address, credentials: Credentials, tls: ssl.SSLContext | None
    ) -> None:
        self._url = address.websocket
        self._credentials = credentials
        self._options = WEBSOCKET_OPTIONS if tls is None else {**WEBSOCKET_OPTIONS, "ssl": tls}
        self._context = ExitStack()
        self._connection: ClientConnection | None = None

    def take(self, step: FollowStep) -> Reply:
        """One step."""
        match step:
            case Connect():
                return self._connect()
            case Receive(seconds):
                return self._receive(seconds)
            case Send(messages):
                self._send(messages)
            case RenewToken():
                self._renew()
            case Wait(seconds):
                time.sleep(seconds)
            case Close():
                self.close()
        return None

    def close(self) -> None:
        self._context.close()
        self._connection = None

    def _connect(self) -> Reply:
        try:
            headers = authorization(self._credentials.renew_now())
            self._connection = self._context.enter_context(
                connect(self._url, additional_headers=headers, **self._options)
            )
        except FAILED as failure:
            log.warning("no connection to %s: %s", self._url, failure)
            return refusal_of(failure)
        return Connected()

    def _receive(self, seconds: float) -> Reply:
        assert self._connection is not None
        try:
            return message_of(self._connection.recv(timeout=seconds))
        except TimeoutError:
            return Silence()
        except FAILED as failure:
            return closed_of(failure)

    def _send(self, messages: tuple[Message, ...]) -> None:
        assert self._connection is not None
        with suppress(*FAILED):  # the next receive shows that the connection is gone
            for message in messages:
                self._connection.send(json.dumps(message))

    def _renew(self) -> None:
        try:
            token = self._credentials.renew_now()
        except TRANSIENT as failure:
            log.warning("no new token: %s", failure)
            return
        self._send(({"type": "auth", "ref": "auth", "token": token},))
