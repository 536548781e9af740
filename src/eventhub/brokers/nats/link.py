"""One connection to a NATS server, from connect to its end.

It sends requests, publishes with acknowledgement, and subscribes. It never reconnects: the broker
makes a new link, so nothing written for one connection is ever sent on another.

Bounds: `pending_replies.py` bounds what is published and not acknowledged. The caller bounds every
wait except those of `request`, `collect` and `ping`. Everything else that the server does not take
(requests, subscriptions, broadcasts) is held until a ping fails: the session sends one every
second, and a ping without an answer ends the link and all that it holds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error, SlowConsumerError

from eventhub.brokers.nats.answers import (
    CONNECTION_ERRORS,
    LOST,
    NOT_SENT,
    Answer,
    JetStreamError,
    connection_fault,
    read_answer,
    settle,
)
from eventhub.brokers.nats.client import CONNECT_SECONDS, GuardedClient
from eventhub.brokers.nats.collection import MessageCollection
from eventhub.brokers.nats.message import consumer_tokens
from eventhub.brokers.nats.pending_replies import PendingReplies, PlainReply, Reply
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import NewEvent

REQUEST_SECONDS = 2.0
PING_SECONDS = 2
SUBSCRIPTION_MESSAGES = 65_536
SUBSCRIPTION_BYTES = 64 * 1024 * 1024
"""Bounds of a subscription while the event loop is busy. Beyond them the client library drops
messages and `on_slow` is called.
"""
API = "$JS.API."


class NatsLink:
    """A connection. `on_slow(subject)` is called when the client library drops messages."""

    def __init__(self, on_slow: Callable[[str], None]) -> None:
        self.closed = asyncio.Event()
        self.callback_error: Exception | None = None
        """The first error of a callback. The client library ignores it and goes on."""
        self._client = GuardedClient()
        self._on_slow = on_slow
        self._inbox = ""
        self._replies = PendingReplies()

    @property
    def max_payload(self) -> int:
        return self._client.max_payload

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the server has not taken yet."""
        return self._client.unsent_bytes

    @property
    def clustered(self) -> bool:
        return self._client.clustered

    async def open(self, server: str, login: Mapping[str, Any]) -> None:
        """Connect. Raises BrokerUnavailable."""
        try:
            async with asyncio.timeout(2 * CONNECT_SECONDS):
                await self._client.connect(
                    server, login, on_error=self._on_error, on_end=self._on_end
                )
                self._inbox = self._client.library.new_inbox()
                await self._client.receive_replies(
                    self._inbox, self._on_plain_reply, self._on_reply
                )
        except (*CONNECTION_ERRORS, ValueError) as error:
            await self.close()
            raise BrokerUnavailable(
                f"no connection to a NATS server: {connection_fault(error)}"
            ) from None

    async def close(self) -> None:
        """End the connection, even if the server does not cooperate."""
        self._on_end()
        await self._client.close()

    async def ping(self) -> None:
        """Ask the server for a sign of life. Must not be cancelled. Raises BrokerUnavailable.

        An answer proves nothing about earlier messages, because the client's pings overtake
        messages that it has not flushed. After a cancellation the client would take the late answer
        for that of another ping.
        """
        if self.closed.is_set():
            raise BrokerUnavailable(LOST)
        try:
            await self._client.library.flush(timeout=PING_SECONDS)
        except CONNECTION_ERRORS as error:
            raise BrokerUnavailable(
                f"the NATS server does not answer: {connection_fault(error)}"
            ) from None

    async def request(self, subject: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Send a request to JetStream. Raises JetStreamError, BrokerUnavailable."""
        token = self._replies.next_token()
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies.expect(token, lambda message: settle(answer, read_answer(message)))
        data = b"" if body is None else orjson.dumps(body)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                self._send(API + subject, data, token=token)
                return await answer
        except TimeoutError:
            raise BrokerUnavailable("JetStream does not answer") from None
        finally:
            self._replies.forget(token)

    async def request_without_answer(self, subject: str) -> None:
        """Send a request to JetStream whose answer does not matter."""
        with suppress(JetStreamError):
            self._send(API + subject, b"")

    async def publish(self, subject: str, data: bytes) -> None:
        """Send to the present subscribers, at most once. Raises BrokerUnavailable."""
        self.publish_now(subject, data)

    def publish_now(
        self, subject: str, data: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """As `publish`, without waiting."""
        try:
            self._send(subject, data, headers=headers)
        except JetStreamError as error:
            raise BrokerUnavailable(error.message) from None

    async def collect(
        self, subject: str, token: str, body: Mapping[str, Any], take: Callable[[Reply], bool]
    ) -> None:
        """Request messages; `take` gets those for `token` until it returns False.

        Raises JetStreamError, BrokerUnavailable, and what `take` raises.
        """
        messages = MessageCollection(take)
        self._replies.expect(token, messages.on_reply)
        try:
            self._send(API + subject, orjson.dumps(body), token=token)
            await messages.wait(REQUEST_SECONDS)
        finally:
            self._replies.forget(token)

    def new_token(self) -> str:
        """A token for `collect`, which also names a consumer: unique among all connections."""
        return f"{self._inbox.rpartition('.')[2]}{self._replies.next_token()}"

    async def store(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str],
        on_answer: Callable[[Answer], None],
    ) -> str:
        """As `store_now`, when the window has room."""
        await self.room(len(data))
        return self.store_now(subject, data, headers, on_answer)

    async def room(self, size: int) -> None:
        """Wait until the window has room for a message with so many bytes of data."""
        await self._replies.room(size + 1)

    def has_room(self, events: Sequence[NewEvent]) -> bool:
        """Whether the window has room for all of these."""
        size = sum(len(event.data) + 1 for event in events)
        return self._replies.has_room(size, len(events))

    def store_now(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str],
        on_answer: Callable[[Answer], None],
    ) -> str:
        """Publish into a stream, in the order of the calls. Returns the token of the answer.

        `on_answer` is called once, with the acknowledgement, a JetStreamError or BrokerUnavailable,
        unless `forget` is called with the token. Raises JetStreamError when the message is not
        sent.
        """
        token = self._replies.next_token()

        def on_reply(message: Reply | None) -> None:
            self._replies.forget(token)
            on_answer(read_answer(message))

        self._replies.expect(token, on_reply, size=len(data) + 1)
        try:
            self._send(subject, data, headers=headers, token=token)
        except BaseException:
            self._replies.forget(token)
            raise
        return token

    async def store_one(self, subject: str, data: bytes, headers: dict[str, str]) -> dict[str, Any]:
        """Publish into a stream and return the acknowledgement.

        Raises JetStreamError, BrokerUnavailable.
        """
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        token = await self.store(subject, data, headers, lambda found: settle(answer, found))
        try:
            return await answer
        finally:
            self._replies.forget(token)

    def forget(self, token: str) -> None:
        """Ignore the answer to a `store`."""
        self._replies.forget(token)

    async def listen(
        self, subject: str, callback: Callable[[Msg], Awaitable[None]]
    ) -> Subscription:
        """Subscribe to a subject. Raises BrokerUnavailable."""
        try:
            return await self._client.library.subscribe(
                subject,
                cb=callback,
                pending_msgs_limit=SUBSCRIPTION_MESSAGES,
                pending_bytes_limit=SUBSCRIPTION_BYTES,
            )
        except CONNECTION_ERRORS as error:
            raise BrokerUnavailable(f"{LOST}: {connection_fault(error)}") from None

    async def unlisten(self, subscription: Subscription) -> None:
        """Unsubscribe. Works on a connection that has ended, too."""
        with suppress(*CONNECTION_ERRORS):
            await subscription.unsubscribe()

    # Private

    def _send(
        self,
        subject: str,
        data: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> None:
        if self.closed.is_set():
            raise JetStreamError(NOT_SENT, LOST)
        reply = "" if token is None else f"{self._inbox}.{token}"
        try:
            self._client.publish(subject, data, reply, headers)
        except CONNECTION_ERRORS as error:
            raise JetStreamError(NOT_SENT, f"{LOST}: {connection_fault(error)}") from None

    def _on_plain_reply(self, token: str, data: bytes) -> None:
        """An acknowledgement, or another answer of JetStream."""
        try:
            self._replies.deliver(token, PlainReply(data))
        except Exception as error:  # as in a callback of the client library
            self.callback_error = self.callback_error or error

    async def _on_reply(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        if message.reply.startswith("$JS.ACK."):
            # A message from a consumer keeps its own subject: the consumer's name is the token.
            token = consumer_tokens(message.reply)[1]
        self._replies.deliver(token, message)

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self._on_slow(error.subject)
        elif not isinstance(error, (Error, OSError, TimeoutError)):
            self.callback_error = self.callback_error or error

    def _on_end(self) -> None:
        self.closed.set()
        self._replies.end()
