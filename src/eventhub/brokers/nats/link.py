"""One connection to a NATS server, from connect to its end: requests, publishes with acknowledgement, subscriptions.

It never reconnects: the broker makes a new link, so that nothing written for one connection is ever sent on another. Bounds: WINDOW
messages and WINDOW_BYTES unacknowledged; further ones wait. Every wait is the caller's to bound, except `request`'s and `ping`'s. What is
outside the window (requests, subscriptions, messages to nodes) and not taken by the server is held until a ping, which the session sends
every second, is not answered: that ends the link and all it holds.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import count
from typing import Any

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error, SlowConsumerError

from eventhub.errors import BrokerUnavailable

WINDOW = 1024
WINDOW_BYTES = 8 * 1024 * 1024
CONNECT_SECONDS = 2
REQUEST_SECONDS = 2.0
SUBSCRIPTION_MESSAGES = 65_536
SUBSCRIPTION_BYTES = 64 * 1024 * 1024
"""What a subscription holds for a busy event loop; beyond it messages are dropped, which `slow` is
told.
"""
NO_RESPONDERS = 503
"""Nobody listens on that subject: no stream, or none with a leader. Nothing was stored."""
NOT_SENT = -1
LOST = (Error, OSError, RuntimeError)
"""What the client library raises on a lost connection; RuntimeError is uvloop's, of a transport
that closed before the client noticed.
"""


class JetStreamError(Exception):
    """JetStream refuses. `code` is its err_code, NO_RESPONDERS or NOT_SENT."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


Answer = dict[str, Any] | Exception


class NoTls(Error):
    """The server does not insist on TLS."""


class NatsLink:
    """A connection. `api` is the subject prefix of JetStream's interface."""

    def __init__(self, slow: Callable[[str], None]) -> None:
        self.closed = asyncio.Event()
        self.bug: Exception | None = None
        """What a callback failed with: the client library goes on without it."""
        self._client = Client()
        self._slow = slow
        self._inbox = ""
        self._tokens = count(1)
        self._replies: dict[
            str, tuple[int, Callable[[Msg | None], None]]
        ] = {}  # by token: place in the window, what to do
        self._unacknowledged = self._unacknowledged_bytes = 0
        self._room = asyncio.Event()

    @property
    def max_payload(self) -> int:
        return self._client.max_payload

    @property
    def clustered(self) -> bool:
        return bool(self._client._server_info.get("cluster"))  # noqa: SLF001  (the client has no public way to INFO)

    async def open(self, server: str, login: Mapping[str, Any]) -> None:
        """Connect. Raises BrokerUnavailable."""
        try:
            async with asyncio.timeout(2 * CONNECT_SECONDS):
                await self._client.connect(
                    [server],
                    name="eventhub",
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    connect_timeout=CONNECT_SECONDS,
                    skip_subject_validation=True,  # they are made here
                    # the client's own two bounds wait where a cancellation gets lost, and a ping
                    # beyond its time limit;
                    pending_size=0,
                    flusher_queue_size=0,  # what bounds the unsent instead is said at the top
                    error_cb=self._on_error,
                    closed_cb=self._on_closed,
                    **self._guarded(login),
                )
                # An unforeseen error, as of a message that it cannot read, ends a loop of the
                # client's, which tells nobody, stays "connected", and does not wait for the answer
                # to a ping any more. It has no public way to them.
                for loop in (self._client._reading_task, self._client._flusher_task):  # noqa: SLF001
                    assert loop is not None
                    loop.add_done_callback(lambda _: self._on_end())
                self._insist_on_tls(login)
                self._inbox = self._client.new_inbox()
                await self._client.subscribe(f"{self._inbox}.*", cb=self._on_reply)
        except (*LOST, ValueError) as error:
            await self.close()
            raise BrokerUnavailable(f"no connection to a NATS server: {_reason(error)}") from None

    async def close(self) -> None:
        """End it, however little the server helps."""
        self._on_end()
        with suppress(Exception):
            async with asyncio.timeout(0.5):
                await self._client.close()
        # The client waits for ever to flush to a peer that takes nothing, and has no public way to
        # let go of it:
        for subscription in list(self._client._subs.values()):  # noqa: SLF001
            subscription._stop_processing()  # noqa: SLF001
        writer = getattr(self._client._transport, "_io_writer", None)  # noqa: SLF001
        if writer is not None:
            with suppress(AttributeError):  # asyncio's, of a TLS connection that is lost already
                writer.transport.abort()

    async def ping(self) -> None:
        """The server answers, which says nothing of what was sent before: the client's pings overtake what it has not flushed.

        Not to be cancelled: the client would take the late answer for another one's. Raises BrokerUnavailable.
        """
        if self.closed.is_set():
            raise BrokerUnavailable("the connection to the NATS server was lost")
        try:
            await self._client.flush(timeout=2)
        except LOST as error:
            raise BrokerUnavailable(f"the NATS server does not answer: {_reason(error)}") from None

    async def request(self, subject: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask JetStream. Raises JetStreamError, BrokerUnavailable."""
        token, answer = self._promise()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._send(
                    f"$JS.API.{subject}", b"" if body is None else orjson.dumps(body), None, token
                )
                return await answer
        except TimeoutError:
            raise BrokerUnavailable("JetStream does not answer") from None
        finally:
            self.forget(token)

    async def tell(self, subject: str, body: bytes = b"") -> None:
        """Ask JetStream for something whose answer does not matter."""
        with suppress(JetStreamError):
            await self._send(f"$JS.API.{subject}", body, None, None)

    async def publish(self, subject: str, data: bytes) -> None:
        """To whoever listens now, at most once. Raises BrokerUnavailable."""
        try:
            await self._send(subject, data, None, None)
        except JetStreamError as error:
            raise BrokerUnavailable(error.message) from None

    async def collect(
        self, subject: str, token: str, body: Mapping[str, Any], take: Callable[[Msg], bool]
    ) -> None:
        """Ask for messages; those for `token` go to `take` until it says False. Raises JetStreamError, BrokerUnavailable, what `take` does."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def feed(message: Msg | None) -> None:
            if done.done():
                return
            try:
                if message is None:
                    raise BrokerUnavailable("the connection to the NATS server was lost")
                if not take(message):
                    done.set_result(None)
            except Exception as error:  # handed on to the caller
                done.set_exception(error)

        self._replies[token] = (0, feed)
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._send(f"$JS.API.{subject}", orjson.dumps(body), None, token)
                await done
        except TimeoutError:
            raise BrokerUnavailable("JetStream does not send what was asked for") from None
        finally:
            self.forget(token)

    def new_token(self) -> str:
        """A name for `collect`, unique in the connection's inbox."""
        return f"{self._inbox.rpartition('.')[2]}{next(self._tokens)}"

    async def store(
        self, subject: str, data: bytes, headers: dict[str, str], answered: Callable[[Answer], None]
    ) -> str:
        """Publish into a stream, in the order of the calls. Waits for a place in the window. Raises JetStreamError when it is not sent.

        `answered` is called once, with the acknowledgement, an JetStreamError or BrokerUnavailable, unless `forget` is with the token returned.
        """
        size = len(data) + 1
        while self._unacknowledged and (
            self._unacknowledged >= WINDOW or self._unacknowledged_bytes + size > WINDOW_BYTES
        ):
            self._room.clear()
            await self._room.wait()
        token = str(next(self._tokens))

        def settle(message: Msg | None) -> None:
            self.forget(token)
            answered(_answer(message))

        self._unacknowledged += 1
        self._unacknowledged_bytes += size
        self._replies[token] = (size, settle)
        try:
            await self._send(subject, data, headers, token)
        except BaseException:
            self.forget(token)
            raise
        return token

    async def store_one(self, subject: str, data: bytes, headers: dict[str, str]) -> dict[str, Any]:
        """Publish into a stream and wait for the acknowledgement. Raises JetStreamError, BrokerUnavailable."""
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        token = await self.store(subject, data, headers, lambda found: _settle(answer, found))
        try:
            return await answer
        finally:
            self.forget(token)

    def forget(self, token: str) -> None:
        """Nobody waits for that any more."""
        if (found := self._replies.pop(token, None)) is not None and found[0]:
            self._unacknowledged -= 1
            self._unacknowledged_bytes -= found[0]
            self._room.set()

    async def listen(
        self, subject: str, callback: Callable[[Msg], Awaitable[None]]
    ) -> Subscription:
        """Raises BrokerUnavailable."""
        try:
            return await self._client.subscribe(
                subject,
                cb=callback,
                pending_msgs_limit=SUBSCRIPTION_MESSAGES,
                pending_bytes_limit=SUBSCRIPTION_BYTES,
            )
        except LOST as error:
            raise BrokerUnavailable(
                f"the connection to the NATS server was lost: {_reason(error)}"
            ) from None

    async def unlisten(self, subscription: Subscription) -> None:
        """Stop listening; also on a connection that has ended."""
        with suppress(*LOST):
            await subscription.unsubscribe()

    # Private

    def _guarded(self, login: Mapping[str, Any]) -> dict[str, Any]:
        """The client would send passwords in the clear to a server that does not ask for TLS."""

        def authentication(value: str) -> Callable[[], str]:
            def give() -> str:
                self._insist_on_tls(login)
                return value

            return give

        return {
            name: authentication(value) if name in ("user", "password", "token") else value
            for name, value in login.items()
        }

    def _insist_on_tls(self, login: Mapping[str, Any]) -> None:
        if "tls" in login and not self._client._server_info.get("tls_required"):  # noqa: SLF001  (no public way, either)
            raise NoTls

    async def _send(
        self, subject: str, data: bytes, headers: dict[str, str] | None, token: str | None
    ) -> None:
        if self.closed.is_set():
            raise JetStreamError(NOT_SENT, "the connection to the NATS server was lost")
        try:
            await self._client.publish(
                subject,
                data,
                reply="" if token is None else f"{self._inbox}.{token}",
                headers=headers,
            )
        except LOST as error:
            raise JetStreamError(
                NOT_SENT, f"the connection to the NATS server was lost: {_reason(error)}"
            ) from None

    def _promise(self) -> tuple[str, asyncio.Future[dict[str, Any]]]:
        token = str(next(self._tokens))
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._replies[token] = (0, lambda message: _settle(answer, _answer(message)))
        return token, answer

    async def _on_reply(self, message: Msg) -> None:
        token = message.subject.rpartition(".")[2]
        if message.reply.startswith(
            "$JS.ACK."
        ):  # a consumer's message keeps its subject: the consumer bears the token's name
            token = ack_tokens(message)[1]
        if (found := self._replies.get(token)) is not None:
            found[1](message)

    async def _on_error(self, error: Exception) -> None:
        if isinstance(error, SlowConsumerError):
            self._slow(error.subject)
        elif not isinstance(error, (Error, OSError, TimeoutError)):
            self.bug = self.bug or error

    async def _on_closed(self) -> None:
        self._on_end()

    def _on_end(self) -> None:
        self.closed.set()
        for _, settle in list(self._replies.values()):
            settle(None)
        self._room.set()


def _answer(message: Msg | None) -> Answer:
    if message is None:
        return BrokerUnavailable(
            "the connection to the NATS server was lost; what was under way may be stored or not"
        )
    if message.headers and message.headers.get("Status") == str(NO_RESPONDERS):
        return JetStreamError(NO_RESPONDERS, "no JetStream stream takes it")
    try:
        found: dict[str, Any] = dict(orjson.loads(message.data))
    except (ValueError, TypeError):
        return BrokerUnavailable(
            "JetStream answered what cannot be read; what was under way may be stored or not"
        )
    if error := found.get("error"):
        return JetStreamError(
            error.get("err_code", error.get("code", 0)), error.get("description", "no reason given")
        )
    return found


def _settle(answer: asyncio.Future[dict[str, Any]], found: Answer) -> None:
    if answer.done():
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)


def ack_tokens(message: Msg) -> list[str]:
    """Of a consumer's message: stream, consumer, deliveries, stream sequence, consumer sequence, time, pending.

    Domain and account hash, which newer servers put before them, are left out.
    """
    tokens = message.reply.split(".")
    return tokens[2:] if len(tokens) == 9 else tokens[4:]


def _reason(error: BaseException) -> str:
    """What went wrong, without anything that might be secret: the client's messages can hold the server's URL."""
    if isinstance(error, NoTls):
        return "TLS is asked for and the server does not ask for it"
    if "Authorization Violation" in str(error):
        return "the login was refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
