"""server/api/drain_responses.py: a request that is cancelled or fails has a response."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from eventhub.common.faults import Faults
from eventhub.errors import ShuttingDown
from eventhub.server.api.drain_responses import serve_request


def cancelled_request(method: str, path: str, *before: Message) -> tuple[list[Message], bool]:
    """What was sent to a request that was cancelled after these messages, and whether the
    cancellation was passed on.
    """
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("the body has come")

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        for message in before:
            await send(message)
        await asyncio.Event().wait()

    def why() -> ShuttingDown:
        return ShuttingDown("the server is about to stop", retry_after=2.5)

    async def main() -> bool:
        scope: dict[str, Any] = {"type": "http", "method": method, "path": path}
        task = asyncio.ensure_future(serve_request(waits, why, Faults(), scope, receive, send))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    was_cancelled = asyncio.run(main())
    return sent, was_cancelled


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/channels/chat.sse"), ("POST", "/v1/channels/a/sse"), ("GET", "/v1/types")],
)
def test_a_cancelled_request_is_told_when_to_retry(method: str, path: str) -> None:
    (start, body), was_cancelled = cancelled_request(method, path)
    assert (start["status"], dict(start["headers"])[b"retry-after"]) == (503, b"3")
    assert b'"code":"shutting_down"' in body["body"]
    assert not was_cancelled


@pytest.mark.parametrize("path", ["/v1/sse", "/v1/channels/chat.a/sse"])
def test_a_cancelled_event_source_gets_a_goodbye_with_status_200(path: str) -> None:
    (start, body), was_cancelled = cancelled_request("GET", path)
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (200, b"text/event-stream")
    assert body["body"].startswith(b"retry: 2500\nevent: goodbye\ndata: {")
    assert not body.get("more_body")
    assert not was_cancelled


def test_a_response_that_has_begun_is_left_to_the_server() -> None:
    begun = {"type": "http.response.start", "status": 200, "headers": []}
    assert cancelled_request("GET", "/v1/sse", begun) == ([begun], True)


def failed_request(*before: Message) -> tuple[list[Message], Faults]:
    """What was sent to a request whose application raised after these messages."""
    sent: list[Message] = []
    faults = Faults()

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        raise AssertionError("nobody reads")

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        for message in before:
            await send(message)
        raise ZeroDivisionError

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/v1/types"}
    asyncio.run(serve_request(fails, lambda: ShuttingDown(""), faults, scope, receive, send))
    return sent, faults


def test_an_exception_is_noted_and_answered_with_internal() -> None:
    (start, body), faults = failed_request()
    assert start["status"] == 500
    assert b'"code":"internal"' in body["body"]
    assert faults.counts == {"request": 1}


def test_an_exception_after_the_response_has_begun_adds_nothing_to_it() -> None:
    begun = {"type": "http.response.start", "status": 200, "headers": []}
    sent, faults = failed_request(begun)
    assert (sent, faults.counts) == ([begun], {"request": 1})
