"""A publish request has the same answer on both ways: whole, which server/http/publish_lane.py may
answer at once, and in two pieces, which go through the queue and the ASGI application.
"""

import gzip

import pytest

from eventhub.server.publish.endpoint import SMALL_EVENT_BYTES
from tests.harness.loop import in_loop
from tests.unit.server.http.lane_node import CONFIG, EVENT, post, primed, running, shown

CASES = {
    "an event": post(),
    "PUT": post(method="PUT"),
    "spaces around the event": post(body=b" \r\n" + EVENT + b"\n"),
    "no JSON": post(body=b'{"a":'),
    "not UTF-8": post(body=b'"\xff"'),
    "a byte order mark": post(body=b"\xef\xbb\xbf{}"),
    "only spaces": post(body=b"   "),
    "too deep": post(body=b"[" * 1 + b'{"a":' * 40 + b"1" + b"}" * 40 + b"]"),
    "too deep an object": post(body=b'{"a":' * 40 + b"1" + b"}" * 40),
    "a number that would be rounded": post(body=b"123456789012345678901234567890"),
    "not of the type": post("chat.a", b'{"sender":"ana"}'),
    "of the type": post("chat.a"),
    "an array": post(body=b"[1,2]"),
    "an array behind spaces": post(body=b"  [1,2]"),
    "an empty array": post(body=b"[]"),
    "an array of a type": post("chat.a", b"[%b,%b]" % (EVENT, EVENT)),
    "an array of which one is refused": post("chat.a", b"[%b,1]" % EVENT),
    "an array of which all are refused": post("chat.a", b"[1,2]"),
    "an array that does not end": post(body=b"[1,2"),
    "an array with a number that would be rounded": post(body=b"[1,12345678901234567890123]"),
    "an array with spaces and escapes": post(body=b'[ "\\u0041" , {"a" : 1.0} ]'),
    "an array that is too deep": post(body=b"[%b]" % (b"[" * 40 + b"]" * 40)),
    "an array of many": post(body=b"[%b]" % b",".join([b"1"] * 600)),
    "a large array": post(body=b"[%b]" % b",".join([b'"%b"' % (b"x" * 1000)] * 40)),
    "a content type": post("raw.a", EVENT, "Content-Type: application/json; charset=utf-8"),
    "a form": post("raw.a", EVENT, "Content-Type: application/x-www-form-urlencoded"),
    "multipart": post("raw.a", EVENT, "Content-Type: multipart/form-data; boundary=x"),
    "a line of NDJSON": post("raw.a", EVENT, "Content-Type: application/x-ndjson"),
    "compressed": post("raw.a", gzip.compress(EVENT, mtime=0), "Content-Encoding: gzip"),
    "compressed in a form that is not accepted": post("raw.a", EVENT, "Content-Encoding: br"),
    "not compressed as it says": post("raw.a", EVENT, "Content-Encoding: gzip"),
    "a CloudEvent": post("raw.a", b"[1]", "ce-id: 1", "ce-specversion: 1.0", "ce-source: /a"),
    "attributes": post("raw.a", EVENT, "ce-source: /a", "ce-subject: b"),
    "a trace": post("raw.a", EVENT, "traceparent: 00-" + "a" * 32 + "-" + "b" * 16 + "-01"),
    "lenient": post("raw.a", b"{", "Prefer: handling=lenient"),
    "lenient in the address": post("raw.a?handling=lenient", b"{"),
    "an unknown parameter": post("raw.a?x=1"),
    "an unknown type": post("none.a"),
    "no channel name": post("raw..a"),
    "only for clients": post("closed.a"),
    "a key that is no text": post("raw.a", EVENT, "Idempotency-Key: a b"),
    "two keys": post("raw.a", EVENT, "Idempotency-Key: a", "Idempotency-Key: b"),
    "a page of another origin": post("raw.a", EVENT, "Origin: https://evil.example"),
    "a page of this origin": post("raw.a", EVENT, "Origin: http://localhost"),
    "a foreign host": post("raw.a").replace(b"localhost", b"evil.example"),
    "the last request": post("raw.a", EVENT, "Connection: close"),
    "HTTP/1.0": post(version="1.0"),
    "HTTP/1.0 that is kept": post("raw.a", EVENT, "Connection: keep-alive", version="1.0"),
    "no length": post(body=b"", length=False),
    "nothing": post(body=b""),
    "large": post(body=b'"' + b"x" * SMALL_EVENT_BYTES + b'"'),
    "too large": post(body=b'"' + b"x" * 70_000 + b'"'),
    "chunks": post("raw.a", b"2\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked", length=False),
    "a length that is no number": post().replace(b"Length: 28", b"Length: +28"),
    "two lengths": post("raw.a", EVENT, "Content-Length: 27"),
    "a length and chunks": post("raw.a", EVENT, "Transfer-Encoding: chunked"),
    "a space before the colon": post("raw.a", EVENT, "Content-Type : text/plain"),
    "a folded header": post("raw.a", EVENT, "Content-Type: text/plain\r\n ;x=1"),
    "a bare line feed": post("raw.a", EVENT, "A: 1\nB: 2"),
    "two hosts": post("raw.a", EVENT, "Host: localhost"),
    "an absolute address": post().replace(b"/v1", b"http://localhost/v1", 1),
    "a percent-encoded name": post("raw.%61"),
    "a bare percent": post("raw.%6"),
}


@pytest.mark.parametrize("request_bytes", CASES.values(), ids=CASES)
@in_loop
async def test_both_ways_give_the_same_answer(request_bytes: bytes) -> None:
    async with running() as node, running() as other:
        queued = await primed(other, request_bytes)
        for _ in range(2):
            connection = await primed(node, request_bytes)
            assert shown(connection.transport.written) == shown(queued.transport.written)
            if not connection.over:
                assert shown(await connection.ask(request_bytes)) == shown(queued.transport.written)
            assert connection.over == queued.over
        for channel in ("raw.a", "chat.a"):
            assert set(await node.stored(channel)) == set(await other.stored(channel))


@pytest.mark.parametrize("body_bytes", [128, 129, 10_000])
@in_loop
async def test_both_ways_have_the_same_limits(body_bytes: int) -> None:
    config = {**CONFIG, "limits": {"event_bytes": 128, "body_bytes": body_bytes}}
    async with running(config) as node, running(config) as other:
        for size in (127, 128, 129, 130, 4096):
            request = post(body=b'"' + b"x" * (size - 2) + b'"')
            queued = await primed(other, request)
            connection = await primed(node, request)
            answer = await connection.ask(request)
            assert shown(answer) == shown(queued.transport.written)
            assert (b"201 Created" in answer) is (size <= 128)
