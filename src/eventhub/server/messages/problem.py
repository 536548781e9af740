"""A refused request's response: one error as a problem document (RFC 9457). Nothing else builds one.

`ProblemResponse` is for FastAPI, `send_problem` for other ASGI applications, and `encode_problem`
for a connection that has no ASGI application yet.
"""

from http import HTTPStatus

import orjson
from starlette.responses import Response
from starlette.types import Send

from eventhub.errors import EventHubError, InvalidRequest
from eventhub.server.messages.security_headers import ALWAYS

PROBLEM_TYPE = "application/problem+json"


class ProblemResponse(Response):
    """The error as a response of Starlette's."""

    media_type = PROBLEM_TYPE

    def __init__(self, error: EventHubError) -> None:
        super().__init__(orjson.dumps(error.as_problem()), error.status, error.headers)
        self.raw_headers += ALWAYS


async def send_problem(send: Send, error: EventHubError) -> None:
    """Send the error as a complete ASGI response."""
    problem = ProblemResponse(error)
    start = {"status": problem.status_code, "headers": problem.raw_headers}
    await send({"type": "http.response.start", **start})
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
