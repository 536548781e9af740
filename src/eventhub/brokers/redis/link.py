"""One connection to a Redis server. It knows nothing about channels.

Commands are pipelined, and pushes are handed over as they arrive. It is a bare asyncio.Protocol
over hiredis: redis-py reads announcements ten times slower, and repeats commands that may have been
executed.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, Self, cast

import hiredis
import structlog

from eventhub.brokers.redis.url import Login, ServerAddress

Reply = Any
Done = Callable[[Reply], None]
Push = Callable[[list[Any]], None]

_INCOMPLETE = object()

log = structlog.get_logger("eventhub.brokers.redis")


class LinkLost(Exception):
    """The connection ended. A command sent over it without an answer may have been executed."""


class ErrorReply(Exception):
    """An error reply: the command was not executed.

    `code` is its first word. The rest may show arguments, so only `redirect` is kept of it.
    """

    def __init__(self, text: str) -> None:
        self.code, _, rest = text.partition(" ")
        self.redirect = _redirect(rest) if self.code in ("MOVED", "ASK") else None
        super().__init__(self.code)


def _redirect(rest: str) -> ServerAddress:
    host, _, port = rest.partition(" ")[2].rpartition(":")
    return ServerAddress(host, int(port))


class RedisLink(asyncio.Protocol):
    """Open with `RedisLink.open`. `lost` is done, with the reason, once the connection ended."""

    def __init__(self, push: Push) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[Exception] = loop.create_future()
        self.received = 0
        """How often data arrived."""
        self._loop = loop
        self._push = push
        self._reader = hiredis.Reader(replyError=ErrorReply, notEnoughData=_INCOMPLETE)
        self._pending: deque[Done] = deque()
        self._out: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def open(
        cls, address: ServerAddress, login: Login, push: Push, role: bytes | None = b"master"
    ) -> Self:
        """Connect and log in. The caller bounds the time. Raises OSError, LinkLost, ErrorReply."""
        loop = asyncio.get_running_loop()
        name = address.host if login.tls else None
        _, link = await loop.create_connection(
            lambda: cls(push), address.host, address.port, ssl=login.tls, server_hostname=name
        )
        try:
            await _log_in(link, login, role)
        except BaseException:
            link.close("not logged in")
            raise
        return link

    def send(self, command: bytes, done: Done) -> None:
        """Queue a packed command for the end of this turn of the loop.

        `done` gets the reply, an ErrorReply or a LinkLost.
        """
        if self.lost.done():
            return done(self.lost.result())
        self._pending.append(done)
        self.write(command)

    def write(self, command: bytes) -> None:
        """Queue a packed command that pushes answer.

        An error reply is given to `push` as [b"refused", code].
        """
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(command)

    async def call(self, *command: str | bytes | int) -> Reply:
        """Send a command and return the reply. Raises LinkLost, ErrorReply."""
        future: asyncio.Future[Reply] = self._loop.create_future()
        self.send(pack(*command), lambda reply: None if future.done() else future.set_result(reply))
        reply = await future
        if isinstance(reply, Exception):
            raise reply
        return reply

    def close(self, reason: str) -> None:
        """End the connection now. Bytes on their way may never arrive."""
        self._end(LinkLost(reason))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.received += 1
        reader = self._reader
        try:
            reader.feed(data)
            while (reply := reader.gets()) is not _INCOMPLETE:
                self._give(reply)
        except hiredis.ProtocolError:
            self.close("not the Redis protocol")
        except Exception as error:  # in the reader: it cannot tell where the next reply begins
            log.exception("redis_reply_unreadable")
            self.close(f"a reply cannot be read: {type(error).__name__}")

    def _give(self, reply: Reply) -> None:
        """Give a reply to its callback. An error there costs no other callback its reply."""
        try:
            if type(reply) is hiredis.PushNotification:
                self._push(reply)
            elif self._pending:
                self._pending.popleft()(reply)
            elif isinstance(reply, ErrorReply):
                self._push([b"refused", reply.code])
        except Exception:
            log.exception("redis_reply_failed")

    def connection_lost(self, exc: Exception | None) -> None:
        closed = "the connection was closed"
        self._end(LinkLost(closed if exc is None else f"the connection broke: {_name(exc)}"))

    # Private

    def _flush(self) -> None:
        if self._transport is not None and not self.lost.done():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    def _end(self, error: Exception) -> None:
        if self.lost.done():
            return
        self.lost.set_result(error)
        if self._transport is not None:
            self._transport.abort()
        pending, self._pending = self._pending, deque()
        for done in pending:
            done(error if isinstance(error, LinkLost) else LinkLost("an internal error"))


def pack(*command: str | bytes | int) -> bytes:
    """The bytes of a command."""
    return cast(bytes, hiredis.pack_command(command))  # type: ignore[arg-type]  # its stub means a tuple of one


def _name(error: Exception) -> str:
    """The name of an error; for an SSLError, the alert.

    A server that requires a client certificate says so after the handshake (RFC 8446, 4.4.2.4).
    """
    alert = getattr(error, "reason", None) if isinstance(error, ssl.SSLError) else None
    return alert or type(error).__name__


def ignore(_: Any) -> None:
    """Handle a reply or a push that does not matter."""


def sentence(error: Exception) -> str:
    """Why there is no answer, for logs and /readyz, without secrets and arguments."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case ErrorReply():
            return f"it answered {error.code}"
        case OSError():
            return f"cannot connect: {error.strerror or type(error).__name__}"
        case _:
            return str(error)


async def _log_in(link: RedisLink, login: Login, role: bytes | None) -> None:
    names = ("AUTH", login.username or "default", login.password) if login.password else ()
    info = await link.call("HELLO", 3, *names, "SETNAME", "eventhub")
    if role is not None and info[b"role"] != role:
        raise LinkLost(f"it is a {info[b'role'].decode()}")
    if login.db:
        await link.call("SELECT", login.db)
