"""The meaning of NATS's answers and of failed connections. No I/O."""

import asyncio
from typing import Any

import orjson
from nats.errors import Error

from eventhub.brokers.nats.pending_replies import Reply
from eventhub.errors import BrokerUnavailable

NO_RESPONDERS = 503
"""No stream with a leader listens on the subject. Nothing was stored."""
NOT_SENT = -1
NO_MESSAGE = 10037
NOT_FOUND = 10059
CONNECTION_ERRORS = (Error, OSError, RuntimeError)
"""Exceptions of the client library when the connection is lost. uvloop raises RuntimeError for a
transport that closed before the client noticed.
"""
LOST = "the connection to the NATS server was lost"


class JetStreamError(Exception):
    """JetStream refuses a request. `code` is its err_code, NO_RESPONDERS or NOT_SENT."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class TlsNotRequired(Error):
    """The server does not require TLS, which the broker's URL asks for."""


Answer = dict[str, Any] | Exception


def read_answer(message: Reply | None) -> Answer:
    """The answer in a message, or the error that it means. None stands for a lost connection."""
    if message is None:
        return BrokerUnavailable(f"{LOST}; events that were under way may be stored or not")
    if message.headers and message.headers.get("Status") == str(NO_RESPONDERS):
        return JetStreamError(NO_RESPONDERS, "no JetStream stream takes it")
    try:
        answer: dict[str, Any] = dict(orjson.loads(message.data))
    except (ValueError, TypeError):
        return BrokerUnavailable(
            "JetStream's answer cannot be read; events that were under way may be stored or not"
        )
    if error := answer.get("error"):
        return JetStreamError(
            error.get("err_code", error.get("code", 0)), error.get("description", "no reason given")
        )
    return answer


def settle(future: asyncio.Future[dict[str, Any]], answer: Answer) -> None:
    """Give the answer to the future, unless it is done."""
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def connection_fault(error: BaseException) -> str:
    """What went wrong, without secrets: the client's own messages can hold the server's URL."""
    if isinstance(error, TlsNotRequired):
        return "the URL asks for TLS, and the server does not require it"
    if "Authorization Violation" in str(error):
        return "the login was refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
