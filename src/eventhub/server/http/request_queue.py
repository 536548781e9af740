"""The requests of one HTTP connection that are not answered yet, in order (RFC 9112, 9.3.2)."""

import asyncio
from collections import deque
from functools import partial

from starlette.types import ASGIApp

from eventhub.errors import InvalidRequest, RateLimited
from eventhub.server.connections.request_starts import RequestStarts
from eventhub.server.http.flow_control import HIGH_WATER_LIMIT, HeldFlowControl
from eventhub.server.http.known_publish import KnownPublish
from eventhub.server.http.request_response import RequestResponse

PIPELINE = 16
"""Requests that may wait behind one another on a connection."""

QueuedRequest = RequestResponse | KnownPublish


class RequestQueue:
    """The first is being answered. The others wait, and the socket is not read meanwhile."""

    __slots__ = ("_app", "_flow", "_loop", "_starts", "_tasks", "_unanswered", "newest")

    def __init__(
        self,
        app: ASGIApp,
        starts: RequestStarts,
        tasks: set[asyncio.Task[None]],
        loop: asyncio.AbstractEventLoop,
        flow: HeldFlowControl,
    ) -> None:
        self._app = app
        self._starts = starts
        self._tasks = tasks
        self._loop = loop
        self._flow = flow
        self._unanswered: deque[QueuedRequest] = deque()
        self.newest: QueuedRequest | None = None
        """The newest request, answered or not. None while the connection idles."""

    def __bool__(self) -> bool:
        """An answer is due."""
        return bool(self._unanswered)

    def check_room(self) -> None:
        """Another request begins. Raises RateLimited when too many wait."""
        if len(self._unanswered) > PIPELINE:  # one read can hold two thousand requests
            raise RateLimited(
                f"{PIPELINE} requests wait on this connection, which is the limit; "
                "expected answers to be read first"
            )

    @property
    def backlogged(self) -> bool:
        """Requests, or many bytes of a body, wait: the socket must not be read."""
        newest = self.newest
        return len(self._unanswered) > 1 or (
            newest is not None and len(newest.body) > HIGH_WATER_LIMIT
        )

    def add(self, request: QueuedRequest) -> None:
        """Answer a request, behind those before it."""
        self.newest = request
        self._unanswered.append(request)
        if len(self._unanswered) == 1:
            self.start_first()
        else:
            self._flow.pause_reading()

    def start_first(self) -> None:
        """Answer the first request, in its turn."""
        first = self._unanswered[0]
        if not first.start():
            self._starts.start(partial(self._run, first))

    def remove_first(self) -> None:
        """Its answer is complete. The connection may have closed."""
        if self._unanswered:
            self._unanswered.popleft()

    def body_received(self, body: bytes) -> None:
        """A part of the newest request's body came. It is dropped if the request was answered."""
        request = self.newest
        if request is None or request.response_complete:
            return
        request.body += body
        if len(request.body) > HIGH_WATER_LIMIT:
            self._flow.pause_reading()
        request.body_changed()

    def close_behind_last(self) -> None:
        """Close the connection behind the last answer."""
        self._unanswered[-1].keep_alive = False

    def half_closed(self) -> None:
        """The client sends no more."""
        self.close_behind_last()
        for each in self._unanswered:
            each.half_closed()

    def body_broke_off(self) -> bool:
        """The client ended its half within the newest body. Returns whether its answer is due."""
        if self.newest is None or self.newest.response_complete:
            return False
        self.newest.fail_body(
            InvalidRequest(
                "the connection's half ended before the body did; "
                "nothing of an unfinished event is stored"
            )
        )
        return True

    def disconnect(self) -> None:
        """The connection has closed."""
        for request in self._unanswered:
            request.disconnect()
        self._unanswered.clear()

    def _run(self, request: QueuedRequest) -> None:
        task = self._loop.create_task(request.run(self._app, self._starts.note_running))
        task.add_done_callback(self._tasks.discard)
        self._tasks.add(task)
