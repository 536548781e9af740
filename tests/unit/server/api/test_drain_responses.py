"""server/api/drain_responses.py: whoever is cancelled before the answer has begun is sent away."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from eventhub.common.faults import Faults
from eventhub.errors import ShuttingDown
from eventhub.server.api.drain_responses import serve_request


def stopped(method: str, path: str, *before: Message) -> tuple[list[Message], bool]:
    """What a request got that was cancelled after these messages, and whether its server was told
    of the cancellation.
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

    told = asyncio.run(main())
    return sent, told


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/channels/chat.sse"), ("POST", "/v1/channels/a/sse"), ("GET", "/v1/types")],
)
def test_a_request_is_told_when_to_come_again(method: str, path: str) -> None:
    (start, body), told = stopped(method, path)
    assert (start["status"], dict(start["headers"])[b"retry-after"]) == (503, b"3")
    assert b'"code":"shutting_down"' in body["body"]
    assert not told


@pytest.mark.parametrize("path", ["/v1/sse", "/v1/channels/chat.a/sse"])
def test_an_event_source_is_as_it_would_not_come_back_from_an_error(path: str) -> None:
    (start, body), told = stopped("GET", path)
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (200, b"text/event-stream")
    assert body["body"].startswith(b"retry: 2500\nevent: goodbye\ndata: {")
    assert not body.get("more_body")
    assert not told


def test_an_answer_that_has_begun_is_left_to_the_server() -> None:
    begun = {"type": "http.response.start", "status": 200, "headers": []}
    assert stopped("GET", "/v1/sse", begun) == ([begun], True)


def failed(*before: Message) -> tuple[list[Message], Faults]:
    """What a request got whose application raised after these messages, and what was noted."""
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


def test_a_fault_is_answered_noted_and_raised_no_further() -> None:
    (start, body), faults = failed()
    assert start["status"] == 500
    assert b'"code":"internal"' in body["body"]
    assert faults.counts == {"request": 1}


def test_a_fault_behind_the_beginning_of_an_answer_adds_nothing_to_it() -> None:
    begun = {"type": "http.response.start", "status": 200, "headers": []}
    sent, faults = failed(begun)
    assert (sent, faults.counts) == ([begun], {"request": 1})
