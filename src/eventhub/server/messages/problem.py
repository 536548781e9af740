"""A refused request's response: one error as a problem document (RFC 9457). It is built only here.

`ProblemResponse` is for FastAPI, `send_problem` for other ASGI applications, and `encode_problem`
for a connection that has no ASGI application yet.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

import orjson
from starlette.responses import Response
from starlette.types import Send

from eventhub.errors import EventHubError, InvalidRequest
from eventhub.server.messages.security_headers import ALWAYS

PROBLEM_TYPE = "application/problem+json"
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Titles of RFC 9110, 15.5, where older Pythons have others."""


def problem_document(error: EventHubError) -> dict[str, object]:
    """A problem document (RFC 9457, 3.1)."""
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": TITLES.get(error.status) or HTTPStatus(error.status).phrase,
        "status": error.status,
        "code": error.code,
        "detail": error.message,
    }
    if error.id is not None:
        problem["id"] = error.id
    if error.details:
        problem["details"] = error.details
    return problem


class ProblemResponse(Response):
    """The error as a response of Starlette's. `extensions` are members of the document besides."""

    media_type = PROBLEM_TYPE

    def __init__(self, error: EventHubError, extensions: Mapping[str, object] = {}) -> None:
        document = {**problem_document(error), **extensions}
        super().__init__(orjson.dumps(document), error.status, error.headers)
        self.raw_headers += ALWAYS


async def send_problem(
    send: Send,
    error: EventHubError,
    extensions: Mapping[str, object] = {},
    headers: Sequence[tuple[bytes, bytes]] = (),
) -> None:
    """Send the error as a complete ASGI response, with these headers besides."""
    problem = ProblemResponse(error, extensions)
    all_headers = [*problem.raw_headers, *headers]
    await send(
        {"type": "http.response.start", "status": problem.status_code, "headers": all_headers}
    )
    await send({"type": "http.response.body", "body": problem.body})


def encode_problem(error: EventHubError) -> bytes:
    """The error as a complete HTTP/1.1 response, after which the connection closes."""
    problem = ProblemResponse(error)
    lines = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        *(f"{name.decode().title()}: {value.decode()}" for name, value in problem.raw_headers),
        "Connection: close",
    ]
    if isinstance(error, InvalidRequest):
        lines.append(
            "Sec-WebSocket-Version: 13"
        )  # a handshake may have failed for it (RFC 6455, 4.4)
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + bytes(problem.body)
