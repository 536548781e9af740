"""server/http/request_response.py: the framing of an answer, and the end or fault of a body. Each
answer comes to an end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.flow_control import FlowControl

from eventhub.errors import InvalidRequest
from eventhub.server.http.request_response import RequestResponse
from eventhub.server.http.response_transport import ResponseTransport
from eventhub.server.messages.asgi_extensions import HALF_CLOSED
from tests.harness.transport import RecordedTransport

DATE = [(b"date", b"now")]
CLOSED = InvalidRequest("the body ended")


def ran() -> None:
    """Nobody counts requests that run."""


def begun_request(
    method: str = "GET", version: str = "1.1", *, keep: bool = True
) -> tuple[RequestResponse, RecordedTransport, list[str]]:
    """One on a connection of its own; what was called when it was done."""
    transport, done = RecordedTransport(), list[str]()
    scope = {"type": "http", "method": method, "http_version": version, "path": "/"}
    flow = FlowControl(transport)
    made = RequestResponse(
        scope, cast(ResponseTransport, transport), flow, DATE, lambda: done.append("done")
    )
    made.keep_alive = keep
    return made, transport, done


def answering(
    *bodies: bytes, headers: list[tuple[bytes, bytes]] | None = None, status: int = 200
) -> ASGIApp:
    """An application that answers in these pieces."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers or []})
        for number, body in enumerate(bodies, 1):
            await send(
                {"type": "http.response.body", "body": body, "more_body": number < len(bodies)}
            )

    return app


def length(count: int) -> list[tuple[bytes, bytes]]:
    return [(b"content-length", b"%d" % count)]


@pytest.mark.parametrize(
    ("method", "version", "headers", "bodies", "fields", "body"),
    [
        ("GET", "1.1", length(2), [b"ok"], [], b"ok"),
        (
            "GET",
            "1.1",
            [],
            [b"ok", b"", b"!"],
            ["transfer-encoding: chunked"],
            b"2\r\nok\r\n1\r\n!\r\n0\r\n\r\n",
        ),
        ("GET", "1.0", length(2), [b"ok"], ["connection: keep-alive"], b"ok"),
        ("GET", "1.0", [], [b"ok", b"!"], ["connection: close"], b"ok!"),
        ("HEAD", "1.1", length(2), [b"ok"], [], b""),
        ("HEAD", "1.1", [], [b"ok"], [], b""),
        ("HEAD", "1.0", [], [b"ok"], ["connection: keep-alive"], b""),
    ],
)
def test_an_answer_is_framed_as_its_client_understands(
    method: str,
    version: str,
    headers: list[tuple[bytes, bytes]],
    bodies: list[bytes],
    fields: list[str],
    body: bytes,
) -> None:
    made, transport, done = begun_request(method, version)
    asyncio.run(made.run(answering(*bodies, headers=headers), ran))
    given, _, rest = transport.written.partition(b"\r\n\r\n")
    own = [f"{name.decode()}: {value.decode()}" for name, value in headers]
    assert given.decode().split("\r\n") == ["HTTP/1.1 200 OK", "date: now", *own, *fields]
    assert (rest, transport.closed, done) == (body, "connection: close" in fields, ["done"])


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_without_a_body_has_no_coding(status: int) -> None:
    made, transport, _ = begun_request()
    asyncio.run(made.run(answering(b"", status=status), ran))
    assert b"transfer-encoding" not in transport.written
    assert transport.written.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("headers", [[], [(b"connection", b"Close")]])
def test_a_connection_that_is_not_kept_says_so_once_and_is_closed(
    headers: list[tuple[bytes, bytes]],
) -> None:
    made, transport, _ = begun_request(keep=bool(headers))
    asyncio.run(made.run(answering(b"", headers=headers), ran))
    assert transport.written.lower().count(b"connection: close") == 1
    assert transport.closed


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """Says nothing."""


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise KeyError


@pytest.mark.parametrize("app", [silent, failing, answering(b"ok", headers=[(b"x", b"a\r\nb: c")])])
def test_an_application_that_gives_no_answer_is_a_fault_of_the_server(
    app: ASGIApp, capsys: pytest.CaptureFixture[str]
) -> None:
    made, transport, done = begun_request()
    asyncio.run(made.run(app, ran))
    assert transport.closed or (transport.written.startswith(b"HTTP/1.1 500 ") and done == ["done"])
    assert b"\r\nb: c" not in transport.written


@pytest.mark.parametrize(
    "app",
    [
        answering(b"short", headers=length(9)),
        answering(b"too long", headers=length(3)),
        answering(),
    ],
)
def test_an_answer_of_another_length_than_announced_ends_the_connection(app: ASGIApp) -> None:
    made, transport, _ = begun_request()
    asyncio.run(made.run(app, ran))
    assert transport.closed


def received(made: RequestResponse, count: int) -> list[Message | str]:
    """What the application receives, so many times; an error as its message."""

    async def main() -> list[Message | str]:
        got: list[Message | str] = []
        for _ in range(count):
            try:
                got.append(await asyncio.wait_for(made.receive(), 5))
            except InvalidRequest as error:
                got.append(error.message)
        return got

    return asyncio.run(main())


def part(body: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_the_received_part_of_a_body_comes_before_its_fault_which_is_raised_again() -> None:
    made, _, _ = begun_request("POST")
    made.body += b"ab"
    made.body_changed()
    made.fail_body(CLOSED)
    assert received(made, 3) == [part(b"ab", more=True), CLOSED.message, CLOSED.message]
    assert not made.keep_alive


def test_the_application_learns_of_the_body_then_of_the_half_close_then_of_the_end() -> None:
    made, _, _ = begun_request("POST")
    made.body += b"ab"
    made.more_body = False
    made.body_changed()
    made.half_closed()
    assert received(made, 2) == [part(b"ab", more=False), {"type": HALF_CLOSED}]
    made.disconnect()
    assert received(made, 1) == [{"type": "http.disconnect"}]


def test_the_end_of_a_body_is_received_once_and_before_the_half_close() -> None:
    made, _, _ = begun_request("POST")
    made.body += b"ab"
    made.body_changed()
    assert received(made, 1) == [part(b"ab", more=True)]
    # the last chunk and the end of the half come while the application does something else
    made.more_body = False
    made.body_changed()
    made.half_closed()
    assert received(made, 2) == [part(b"", more=False), {"type": HALF_CLOSED}]
    made, _, _ = begun_request("POST")  # a body that has no byte
    made.more_body = False
    made.body_changed()
    made.half_closed()
    assert received(made, 2) == [part(b"", more=False), {"type": HALF_CLOSED}]


def test_nothing_is_sent_to_a_client_that_has_disconnected() -> None:
    made, transport, done = begun_request()
    made.disconnect()
    asyncio.run(made.run(answering(b"ok"), ran))
    assert (transport.written, transport.closed, done) == (b"", False, [])


def test_100_continue_is_sent_only_to_a_client_that_waits_for_it() -> None:
    made, transport, _ = begun_request("POST")
    made.expect_continue()
    made.body += b"already"
    made.body_changed()
    received(made, 1)
    assert transport.written == b""
    made, transport, _ = begun_request("POST")
    made.expect_continue()
    asyncio.run(_first_step(made.receive))
    assert transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"


async def _first_step(receive: Callable[[], Awaitable[Any]]) -> None:
    task = asyncio.ensure_future(receive())
    await asyncio.sleep(0)
    task.cancel()


def test_an_answer_instead_of_100_ends_the_connection() -> None:
    made, transport, _ = begun_request("POST")
    made.expect_continue()
    asyncio.run(made.run(answering(b"no", headers=length(2), status=413), ran))
    assert transport.closed, "what comes next could be the body, or another request"
