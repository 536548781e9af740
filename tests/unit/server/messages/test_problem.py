"""server/messages/problem.py: one error in each of its three forms."""

import asyncio
import json
from pathlib import Path

from starlette.types import Message

from eventhub.errors import InvalidEvent, InvalidJson, InvalidRequest, RateLimited, TokenExpired
from eventhub.server.messages.problem import (
    ProblemResponse,
    encode_problem,
    problem_document,
    send_problem,
)

PROTOCOL = (Path(__file__).parents[4] / "PROTOCOL.md").read_text(encoding="utf-8")
ERROR = RateLimited("too many events", retry_after=2.5)
HEADERS = {
    b"content-type": b"application/problem+json",
    b"retry-after": b"3",
    b"cache-control": b"no-store",
}


def sent() -> tuple[Message, Message]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    asyncio.run(send_problem(send, ERROR))
    start, body = messages
    return start, body


def test_an_asgi_response_has_the_error_s_status_headers_and_document() -> None:
    start, body = sent()
    assert start["status"] == 429
    assert HEADERS.items() <= dict(start["headers"]).items()
    assert json.loads(body["body"]) == problem_document(ERROR)
    assert dict(start["headers"])[b"content-length"] == b"%d" % len(body["body"])


def test_starlette_s_response_is_the_same() -> None:
    start, body = sent()
    response = ProblemResponse(ERROR)
    assert (response.status_code, response.raw_headers) == (start["status"], start["headers"])
    assert response.body == body["body"]


def test_no_header_is_sent_twice() -> None:
    names = [name for name, _ in ProblemResponse(TokenExpired("it has expired")).raw_headers]
    assert len(names) == len(set(names))


def test_an_encoded_response_is_complete_and_closes_the_connection() -> None:
    head, _, body = encode_problem(ERROR).partition(b"\r\n\r\n")
    status, *lines = head.split(b"\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)}
    assert status == b"HTTP/1.1 429 Too Many Requests"
    assert (HEADERS | {b"connection": b"close"}).items() <= headers.items()
    assert (int(headers[b"content-length"]), json.loads(body)) == (
        len(body),
        problem_document(ERROR),
    )


def test_a_malformed_request_learns_which_version_of_websocket_is_spoken() -> None:
    assert b"\r\nSec-WebSocket-Version: 13\r\n" in encode_problem(InvalidRequest("no key"))
    assert b"Sec-WebSocket-Version" not in encode_problem(ERROR)


def test_a_problem_document_without_details_has_no_such_field() -> None:
    assert problem_document(InvalidJson("no")) == {
        "type": "about:blank", "title": "Bad Request", "status": 400, "code": "invalid_json",
        "detail": "no",
    }  # fmt: skip


def test_a_problem_document_is_the_one_the_protocol_shows_whatever_the_python_version() -> None:
    example = json.loads(
        next(line for line in PROTOCOL.splitlines() if line.startswith('{"type":"about:blank"'))
    )
    error = InvalidEvent(example["detail"], example["details"])
    assert problem_document(error) == example
