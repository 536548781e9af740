"""A response for every request: also if the server stops before it is served, or if it fails."""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventhub.common.faults import Faults, internal
from eventhub.delivery.encoding import EVENT_STREAM
from eventhub.errors import ShuttingDown
from eventhub.server.messages.problem import send_problem
from eventhub.server.messages.security_headers import LIVE


class ResponseTracker:
    """A `send` that remembers whether the response has begun."""

    __slots__ = ("_send", "begun")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        await self._send(message)


async def serve_request(
    app: ASGIApp,
    shutting_down: Callable[[], ShuttingDown],
    faults: Faults,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Serve an HTTP request. If it is cancelled, the response is `shutting_down`.

    If the application raises, the response is `internal`. A response that has begun is cut off:
    HTTP has no other way to say that it is incomplete.
    """
    response = ResponseTracker(send)
    try:
        await app(scope, receive, response)
    except asyncio.CancelledError:
        if response.begun:
            raise
        if scope["method"] == "GET" and scope["path"].endswith("/sse"):
            await _send_goodbye(send, shutting_down())
        else:
            await send_problem(send, shutting_down())
    except Exception as error:
        faults.note("request", error, path=scope["path"][:200])
        if not response.begun:
            await send_problem(send, internal())


async def _send_goodbye(send: Send, error: ShuttingDown) -> None:
    """With status 200: an EventSource reconnects after no other (WHATWG HTML, 9.2.3)."""
    headers = [(b"content-type", b"text/event-stream"), *LIVE]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    body = EVENT_STREAM.message("goodbye", error.as_goodbye())
    await send({"type": "http.response.body", "body": body})
