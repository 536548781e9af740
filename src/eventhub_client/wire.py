"""Answers, messages and errors of the two libraries, as the decisions know them."""

import json
import ssl
from collections.abc import Mapping
from typing import Any, NoReturn

import httpx
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from eventhub_client.errors import Problem, Unavailable
from eventhub_client.steps import Answer, Closed, Message, Received, Reply, Unreachable

MESSAGE_BYTES = 16 << 20
"""The largest message that is read; a larger one is a fault (1009)."""
TRANSIENT = (OSError, TimeoutError, httpx.TransportError)
"""What may be different at the next attempt, also when a token function raises it."""
FAILED = (*TRANSIENT, WebSocketException, EOFError)
TOO_BIG = 1009
WEBSOCKET_OPTIONS: dict[str, Any] = {
    "subprotocols": ["eventhub.v1"],
    "ping_interval": None,  # the server's heartbeats are watched instead
    "close_timeout": 1,
    "max_size": MESSAGE_BYTES,
}


class Fields(dict[str, Any]):
    """An answer or a message. A field that it lacks raises Unavailable: it is not of EventHub."""

    def __missing__(self, name: str) -> NoReturn:
        raise Unavailable(
            Problem("invalid_answer", f"the answer has no {name}. Is this EventHub?", 502)
        )


def options(tls: ssl.SSLContext | None) -> dict[str, Any]:
    """The options of a WebSocket."""
    return WEBSOCKET_OPTIONS if tls is None else {**WEBSOCKET_OPTIONS, "ssl": tls}


def answer_of(response: httpx.Response) -> Answer:
    """An HTTP answer."""
    return _answer(response.status_code, response.headers, response.content)


def refusal_of(failure: Exception) -> Reply:
    """Why a WebSocket was not opened."""
    if isinstance(failure, InvalidStatus):
        response = failure.response
        return _answer(response.status_code, response.headers, response.body or b"")
    return unreachable(failure)


def unreachable(failure: Exception) -> Unreachable:
    """Why there is no answer."""
    return Unreachable(f"{type(failure).__name__}: {failure}".removesuffix(": "))


def _answer(status: int, headers: Mapping[str, str], body: bytes | bytearray) -> Answer:
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = {}
    told = headers.get("retry-after", "")
    retry_after = float(told) if told.isascii() and told.isdecimal() else None
    return Answer(status, Fields(fields if isinstance(fields, dict) else {}), retry_after)


def message_of(frame: str | bytes) -> Reply:
    """A message. What is no JSON object is treated like a broken connection."""
    try:
        message: Message = json.loads(frame)
    except (ValueError, RecursionError):
        return Closed(None, "not JSON")
    return Received(Fields(message)) if isinstance(message, dict) else Closed(None, "not an object")


def closed_of(failure: Exception) -> Closed:
    """How a WebSocket ended."""
    if isinstance(failure, ConnectionClosed):
        if failure.rcvd is not None and not _is_ours(failure):
            return Closed(failure.rcvd.code, failure.rcvd.reason)
        if failure.sent is not None and failure.sent.code == TOO_BIG:
            return Closed(TOO_BIG, f"a message of more than {MESSAGE_BYTES} bytes")
    return Closed(None, str(failure))


def _is_ours(failure: ConnectionClosed) -> bool:
    """Whether this side closed first; the peer then only repeats the code."""
    return failure.rcvd_then_sent is False
