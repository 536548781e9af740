"""A publish with a known head that is not answered within its read: its broker waits."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp

from eventhub.errors import EventHubError
from eventhub.server.http.connection_context import ConnectionContext
from eventhub.server.publish.response import PublishResponse


class KnownPublish:
    """A complete request in the queue of its connection, without ASGI.

    `publish` gives the response, `encode` its bytes. `done` is called when it is written.
    """

    __slots__ = (
        "_context",
        "_disconnected",
        "_done",
        "_encode",
        "_publish",
        "body",
        "keep_alive",
        "more_body",
        "response_complete",
    )

    def __init__(
        self,
        publish: Callable[[], Awaitable[PublishResponse]],
        encode: Callable[[PublishResponse], bytes],
        context: ConnectionContext,
        done: Callable[[], None],
    ) -> None:
        self.body = bytearray()
        self.more_body = False
        self.keep_alive = True
        self.response_complete = False
        self._publish = publish
        self._encode = encode
        self._context = context
        self._done = done
        self._disconnected = False

    async def run(self, app: ASGIApp, ran: Callable[[], None]) -> None:
        """Publish and answer. `ran` is called as soon as this runs."""
        ran()
        try:
            response = await self._publish()
            if self._context.flow.write_paused and not self._disconnected:
                await self._context.flow.drain()
            if not self._disconnected:
                self._answer(response)
        finally:  # cancelled: the server stops
            if not self.response_complete and not self._disconnected:
                self._context.transport.close()

    def body_changed(self) -> None:
        """Nothing changes: it is complete."""

    def half_closed(self) -> None:
        """The client may still read."""

    def fail_body(self, fault: EventHubError) -> None:
        """Its body is complete."""

    def disconnect(self) -> None:
        """The connection has closed. What was published is stored all the same."""
        self._disconnected = True

    def _answer(self, response: PublishResponse) -> None:
        if not self.keep_alive:
            response = response._replace(headers=(*response.headers, (b"connection", b"close")))
        self.response_complete = True
        self._context.transport.write(self._encode(response))
        if not self.keep_alive:
            self._context.transport.close()
        self._done()
