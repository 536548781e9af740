"""eventhub_client/wire.py: what the two libraries say, as the decisions know it."""

import ssl

import httpx
import pytest
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosedError, InvalidMessage, InvalidStatus
from websockets.frames import Close
from websockets.http11 import Response

from eventhub_client.errors import Unavailable
from eventhub_client.steps import Answer, Closed, Received, Reply, Unreachable
from eventhub_client.wire import answer_of, closed_of, message_of, options, refusal_of, unreachable


@pytest.mark.parametrize(
    ("received", "sent", "closed"),
    [
        (Close(4408, "slow_consumer"), Close(4408, ""), Closed(4408, "slow_consumer")),
        (Close(1012, ""), None, Closed(1012, "")),
        (None, Close(1009, "too big"), Closed(1009, "a message of more than 16777216 bytes")),
        (None, None, Closed(None, "no close frame received or sent")),
    ],
)
def test_the_code_is_the_server_s(
    received: Close | None, sent: Close | None, closed: Closed
) -> None:
    order = None if received is None or sent is None else True
    assert closed_of(ConnectionClosedError(received, sent, order)) == closed


def test_a_fault_that_this_side_saw_is_a_broken_connection() -> None:
    ours = ConnectionClosedError(Close(1002, ""), Close(1002, "bad frame"), False)  # noqa: FBT003
    assert closed_of(ours).code is None
    assert closed_of(OSError("reset")) == Closed(None, "reset")


def test_a_refused_handshake_is_an_answer_and_anything_else_no_answer() -> None:
    headers = Headers({"Retry-After": "7"})
    refused = InvalidStatus(Response(503, "", headers, b'{"code":"node_full"}'))
    assert refusal_of(refused) == Answer(503, {"code": "node_full"}, 7.0)
    bare = Response(503, "", Headers(), None)  # type: ignore[arg-type]  # of websockets 14
    assert refusal_of(InvalidStatus(bare)) == Answer(503, {})
    assert refusal_of(InvalidMessage("no HTTP")) == Unreachable("InvalidMessage: no HTTP")
    assert unreachable(TimeoutError()) == Unreachable("TimeoutError")


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"id":"k-1"}', {"id": "k-1"}),
        (b"<html>", {}),
        (b'["ab"]', {}),
        (b"1", {}),
        (b"", {}),
        (b"[" * 100_000, {}),
    ],
)
def test_a_body_that_is_no_object_has_no_fields(body: bytes, fields: dict[str, str]) -> None:
    assert answer_of(httpx.Response(502, content=body)) == Answer(502, fields)


def test_a_field_that_an_answer_lacks_says_that_this_is_no_eventhub() -> None:
    answer = answer_of(httpx.Response(200, content=b"<html>"))
    with pytest.raises(Unavailable, match=r"invalid_answer: the answer has no channels\. Is this"):
        answer.fields["channels"]
    message = message_of('{"type":"hello"}')
    assert isinstance(message, Received)
    with pytest.raises(Unavailable, match="the answer has no limits"):
        message.message["limits"]
    assert message.message.get("limits") is None


def test_a_websocket_uses_the_certificates_that_are_given() -> None:
    tls = ssl.create_default_context()
    assert options(tls) == {**options(None), "ssl": tls}


@pytest.mark.parametrize(
    ("told", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None)]
)
def test_retry_after_is_a_number_of_seconds(told: str, seconds: float | None) -> None:
    answer = answer_of(httpx.Response(503, headers={"retry-after": told}))
    assert answer.retry_after == seconds


@pytest.mark.parametrize(
    ("frame", "reply"),
    [
        ('{"type":"pong"}', Received({"type": "pong"})),
        ("{", Closed(None, "not JSON")),
        ("[" * 100_000, Closed(None, "not JSON")),
        (b"\xff", Closed(None, "not JSON")),
        ("[]", Closed(None, "not an object")),
    ],
)
def test_a_frame_that_is_no_message_is_a_broken_connection(
    frame: str | bytes, reply: Reply
) -> None:
    assert message_of(frame) == reply
