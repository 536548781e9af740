"""Requests that have no answer yet when the server stops waiting for them."""

import asyncio
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventhub.common.faults import Faults, internal
from eventhub.delivery.encoding import EVENT_STREAM
from eventhub.errors import ShuttingDown
from eventhub.server.messages.problem import send_problem
from eventhub.server.messages.security_headers import LIVE


class ResponseTracker:
    """A `send` that knows whether the answer has begun."""

    __slots__ = ("_send", "begun")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        await self._send(message)


async def answered(
    app: ASGIApp,
    why: Callable[[], ShuttingDown],
    faults: Faults,
    scope: Scope,
    receive: Receive,
    send: Send,
) -> None:
    """Serve an HTTP request. Cancelled before its answer has begun it is sent away.

    After a fault it is answered with `internal`; an answer that has begun breaks off, which is all that HTTP has for it.
    """
    answer = ResponseTracker(send)
    try:
        await app(scope, receive, answer)
    except asyncio.CancelledError:
        if answer.begun:
            raise
        error = why()
        if scope["method"] == "GET" and scope["path"].endswith("/sse"):
            await _goodbye(send, error)
        else:
            await send_problem(send, error)
    except Exception as error:
        faults.note("request", error, path=scope["path"][:200])
        if not answer.begun:
            await send_problem(send, internal())


async def _goodbye(send: Send, error: ShuttingDown) -> None:
    """To an EventSource, which would never come back from another status than 200 (WHATWG HTML, 9.2.3)."""
    headers = [(b"content-type", b"text/event-stream"), *LIVE]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send(
        {"type": "http.response.body", "body": EVENT_STREAM.message("goodbye", error.as_goodbye())}
    )
