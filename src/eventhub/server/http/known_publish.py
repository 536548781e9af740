"""A publish with a known head that is not answered within its read, without ASGI."""

from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp

from eventhub.errors import EventHubError
from eventhub.server.http.connection_context import ConnectionContext
from eventhub.server.publish.request import PublishRequest
from eventhub.server.publish.response import PublishResponse
from eventhub.server.publish.waiting_publish import WaitingPublish


class KnownPublish:
    """A complete request in the queue of its connection.

    While its broker stores it, it stands among the tasks of uvicorn's server, which waits for it,
    and cancels it if that takes too long. It is a task itself only if it needs more than a turn.
    `encode` makes the bytes of a response. `done` is called when it is written.
    """

    __slots__ = (
        "_context",
        "_disconnected",
        "_done",
        "_encode",
        "_published",
        "_request",
        "_waiting",
        "body",
        "in_task",
        "keep_alive",
        "more_body",
        "response_complete",
    )

    def __init__(
        self,
        request: PublishRequest,
        body: bytes,
        encode: Callable[[PublishResponse], bytes],
        context: ConnectionContext,
        done: Callable[[], None],
    ) -> None:
        self.body = bytearray()  # more of it; there is none
        self.more_body = False
        self.keep_alive = True
        self.response_complete = False
        self.in_task = False
        """It is known to need a task."""
        self._request = request
        self._published = body
        self._encode = encode
        self._context = context
        self._done = done
        self._disconnected = False
        self._waiting: WaitingPublish | None = None

    def wait(self, waiting: WaitingPublish) -> None:
        """It is being published."""
        waiting.respond = self._respond
        self._waiting = waiting
        self._tasks.add(self)

    def start(self) -> bool:
        """Publish without a task, unless that has begun. False if it needs one."""
        if self._waiting is not None:
            return True
        if self.in_task or self._context.flow.write_paused:
            return False
        answer = self._context.fast_path.publish(self._request, None, self._published)
        if isinstance(answer, WaitingPublish):
            self.wait(answer)
        elif answer is not None:
            self._answer(answer)
        return answer is not None

    async def run(self, app: ASGIApp, ran: Callable[[], None]) -> None:
        """Publish and answer. `ran` is called as soon as this runs."""
        ran()
        try:
            publish = self._context.fast_path.publish_in_task
            response = await publish(self._request, self._published)
            if self._context.flow.write_paused and not self._disconnected:
                await self._context.flow.drain()
            if not self._disconnected:
                self._answer(response)
        finally:  # cancelled: the server stops
            if not self.response_complete and not self._disconnected:
                self._context.transport.close()

    def cancel(self, msg: str | None = None) -> None:
        """The server stops, and the broker has not answered. uvicorn gives `msg`.

        As with a task, this takes effect in the next turn: the caller goes through the tasks.
        """
        if self._waiting is not None:
            self._context.loop.call_soon(self._waiting.stop)

    def body_changed(self) -> None:
        """Nothing changes: it is complete."""

    def half_closed(self) -> None:
        """The client may still read."""

    def fail_body(self, fault: EventHubError) -> None:
        """Its body is complete."""

    def disconnect(self) -> None:
        """The connection has closed. What was published is stored all the same."""
        self._disconnected = True

    @property
    def _tasks(self) -> set[Any]:
        return self._context.server_state.tasks

    def _respond(self, response: PublishResponse) -> None:
        self._tasks.discard(self)
        if self._disconnected:
            return
        try:
            self._answer(response)
        except Exception:  # noted by the caller; it ends this connection only
            self._context.transport.abort()
            raise

    def _answer(self, response: PublishResponse) -> None:
        if not self.keep_alive:
            response = response._replace(headers=(*response.headers, (b"connection", b"close")))
        self.response_complete = True
        self._context.transport.write(self._encode(response))
        if not self.keep_alive:
            self._context.transport.close()
        self._done()
