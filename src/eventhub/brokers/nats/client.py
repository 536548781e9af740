"""The client library, guarded where it waits too long, sends secrets, or fails without a report.

All access to its private attributes stands here, each with the reason.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import ConnectionClosedError, MaxPayloadError
from nats.protocol.parser import AWAITING_CONTROL_LINE, Parser

from eventhub.brokers.nats.answers import TlsNotRequired
from eventhub.brokers.nats.commands import header_fields, publish_command

CONNECT_SECONDS = 2
REPLY_WORDS = 4
"""MSG, subject, number of the subscription, size. A server writes two spaces before the size."""


class PlainReplies(Parser):
    """The client library's parser, which takes plain replies out of what is read.

    The library matches seven patterns with each message, and puts it into a queue, which a task
    empties. For an acknowledgement that costs more than all the rest. So the library is given other
    messages only. A reply may overtake those of the same turn.
    """

    subject = b""
    """What the subjects of replies begin with. Empty: none is taken."""
    on_reply: Callable[[str, bytes], None]
    """Gets token and data of a reply without headers, and without a subject to answer to."""

    _held = b""  # the beginning of a reply, or of a control line

    async def parse(self, data: bytes = b"") -> None:
        if not self.subject:
            await super().parse(data)
            return
        data, begin = self._unread() + data, 0
        while begin < len(data):
            if self.state == AWAITING_CONTROL_LINE:
                begin = self._take_replies(data, begin)
                end = data.find(b"\r\n", begin) + 2
                if end < 2 or self._is_reply(data[begin:end]):
                    break
            else:  # of a message that the library has begun
                end = begin + self.needed + 2 - len(self.buf)
            await super().parse(data[begin:end])
            begin = end
        self._held = data[begin:]

    def _unread(self) -> bytes:
        """What is held, and what came in part before replies were taken."""
        held, self._held = self._held, b""
        if self.buf and self.state == AWAITING_CONTROL_LINE:
            held += self.buf
            self.buf.clear()
        return held

    def _take_replies(self, data: bytes, begin: int) -> int:
        """Give the whole replies that stand here to `on_reply`. Returns where they end."""
        start, subject = b"MSG " + self.subject, len(self.subject)
        while data.startswith(start, begin) and (line := data.find(b"\r\n", begin)) > 0:
            words = data[begin:line].split()
            if len(words) != REPLY_WORDS:
                break
            end = line + 2 + int(words[3])
            if len(data) < end + 2:
                break
            self.on_reply(words[1][subject:].decode(), data[line + 2 : end])
            begin = end + 2
        return begin

    def _is_reply(self, line: bytes) -> bool:
        """Whether this control line begins a plain reply."""
        return line.startswith(b"MSG " + self.subject) and len(line.split()) == REPLY_WORDS


class GuardedClient:
    """One connection of the client library. It never reconnects."""

    def __init__(self) -> None:
        self.library = Client()
        self._replies = PlainReplies(self.library)
        self.library._ps = self._replies  # noqa: SLF001
        # Every announcement has headers.
        self.library._parse_header_lines = header_fields  # type: ignore[method-assign]  # noqa: SLF001

    @property
    def max_payload(self) -> int:
        return self.library.max_payload

    @property
    def clustered(self) -> bool:
        return bool(self._server_info.get("cluster"))

    @property
    def unsent_bytes(self) -> int:
        return self.library._pending_data_size  # noqa: SLF001

    def publish(
        self, subject: str, data: bytes, reply: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        """Queue a message for the next turn of the loop.

        Raises ConnectionClosedError, MaxPayloadError. The client library's own way is a coroutine,
        which encodes the message, queues it like this, and wakes the same task.
        """
        library = self.library
        flusher, wake = library._flusher_task, library._flush_queue  # noqa: SLF001
        if not library.is_connected or flusher is None or flusher.done() or wake is None:
            raise ConnectionClosedError
        if len(data) > library.max_payload:
            raise MaxPayloadError
        command = publish_command(subject, data, reply, headers)
        library._pending.append(command)  # noqa: SLF001
        library._pending_data_size += len(command)  # noqa: SLF001
        if wake.empty():
            wake.put_nowait(asyncio.get_running_loop().create_future())

    async def receive_replies(
        self,
        inbox: str,
        on_reply: Callable[[str, bytes], None],
        on_message: Callable[[Msg], Awaitable[None]],
    ) -> None:
        """Subscribe to replies. `on_reply` gets most of those that have no more than data."""
        await self.library.subscribe(f"{inbox}.*", cb=on_message)
        self._replies.on_reply, self._replies.subject = on_reply, f"{inbox}.".encode()

    async def connect(
        self,
        server: str,
        login: Mapping[str, Any],
        *,
        on_error: Callable[[Exception], Awaitable[None]],
        on_end: Callable[[], None],
    ) -> None:
        """Connect. Raises what the client library does.

        `on_end` is called when the connection is closed, and when a loop of the client library
        ends: an unforeseen error ends such a loop, for example a message that it cannot read. The
        client reports nothing then, stays "connected", and no longer waits for the answer to a
        ping.
        """

        async def on_closed() -> None:
            on_end()

        await self.library.connect(
            [server],
            name="eventhub",
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,  # it tries a server that is not there twice
            connect_timeout=CONNECT_SECONDS,
            skip_subject_validation=True,  # all subjects are made by this broker
            # Where the client's own bounds make it wait, a cancellation can get lost, and a ping
            # waits beyond its time limit. The docstring of link.py says what bounds it instead.
            pending_size=0,
            flusher_queue_size=0,
            error_cb=on_error,
            closed_cb=on_closed,
            **self._guard_secrets(login),
        )
        for loop in (self.library._reading_task, self.library._flusher_task):  # noqa: SLF001
            assert loop is not None
            loop.add_done_callback(lambda _: on_end())
        self._insist_on_tls(login)

    async def close(self) -> None:
        """End the connection, even if the server does not cooperate."""
        with suppress(Exception):
            async with asyncio.timeout(0.5):
                await self.library.close()
        # The client waits for ever to flush to a peer that reads nothing. It has no public way to
        # let go of the peer.
        for subscription in list(self.library._subs.values()):  # noqa: SLF001
            subscription._stop_processing()  # noqa: SLF001
        writer = getattr(self.library._transport, "_io_writer", None)  # noqa: SLF001
        if writer is not None:
            with suppress(AttributeError):  # raised by asyncio for a TLS connection already lost
                writer.transport.abort()

    # Private

    @property
    def _server_info(self) -> dict[str, Any]:
        info: dict[str, Any] = self.library._server_info  # noqa: SLF001  (no public way to INFO)
        return info

    def _guard_secrets(self, login: Mapping[str, Any]) -> dict[str, Any]:
        """Give passwords only to a server that requires TLS, when the URL asks for TLS.

        The client library itself would send them in the clear to any other server.
        """

        def guarded(value: str) -> Callable[[], str]:
            def give() -> str:
                self._insist_on_tls(login)
                return value

            return give

        return {
            name: guarded(value) if name in ("user", "password", "token") else value
            for name, value in login.items()
        }

    def _insist_on_tls(self, login: Mapping[str, Any]) -> None:
        if "tls" in login and not self._server_info.get("tls_required"):
            raise TlsNotRequired
