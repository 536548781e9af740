"""The client library, guarded where it waits too long, sends secrets, or fails without a report.

All access to its private attributes stands here, each with the reason.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from nats.aio.client import Client

from eventhub.brokers.nats.answers import TlsNotRequired

CONNECT_SECONDS = 2


class GuardedClient:
    """One connection of the client library. It never reconnects."""

    def __init__(self) -> None:
        self.library = Client()

    @property
    def max_payload(self) -> int:
        return self.library.max_payload

    @property
    def clustered(self) -> bool:
        return bool(self._server_info.get("cluster"))

    @property
    def unsent_bytes(self) -> int:
        return self.library._pending_data_size  # noqa: SLF001

    def publish_now(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        """Queue a message. With the bounds that `connect` sets, the client library never waits.

        Raises what it raises. If it does wait, the message may be lost.
        """
        publishing = self.library.publish(subject, data, headers=headers)
        try:
            publishing.send(None)
        except StopIteration:
            return
        publishing.close()

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
