"""HTTP/1.1 on the wire: framing, trailers, pipelining.

As raw bytes, because a library would tidy them up.
"""

import json

import pytest

from tests.harness.clients import http
from tests.harness.eventhub import EventHubServer
from tests.harness.http import END, answers, asked, chunked, head, post, said
from tests.integration.http_server import KEY, PROXY, path_fixture, refused, served_fixture, stored  # noqa: F401

# Fields behind the body (RFC 9110, 6.5.1)

TRAILER = (
    b"X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nHost: evil.example\r\n"
    b"Origin: https://evil.example\r\nce-type: evil\r\n"
    b"Idempotency-Key: evil\r\nContent-Encoding: gzip\r\nContent-Type: application/x-ndjson\r\n"
)


@pytest.mark.parametrize(
    "packets", [1, 2, 0], ids=["in one packet", "in another", "in one byte a packet"]
)
def test_trailer_fields_are_ignored(served: EventHubServer, path: str, packets: int) -> None:
    for number in range(2):
        whole = chunked(path, [b"%d" % number], "X-Forwarded-For: 7.7.7.7", trailer=TRAILER) + END
        at = whole.index(b"\r\n0\r\n") + 5
        parts = (
            [whole]
            if packets == 1
            else [whole[:at], whole[at:]]
            if packets
            else [bytes([byte]) for byte in whole]
        )
        first, last = asked(served.port, *parts, source=PROXY)
        assert (first.status, last.status) == (201, 200)
        assert "idempotent-replayed" not in first.headers
    assert stored(served, path) == [0, 1]
    assert "attributes" not in http.get(f"{served.url}{path}").json()["events"][0]
    lines = [
        line
        for line in served.lines("request")
        if line["path"] == path and line["method"] == "POST"
    ]
    assert [line["client"] for line in lines] == ["7.7.7.7"] * 2


def test_a_credential_in_a_trailer_is_ignored(served: EventHubServer) -> None:
    whole = chunked(
        "/v1/channels/closed.a",
        [b"1"],
        "Connection: close",
        trailer=f"Authorization: Bearer {KEY}\r\n".encode(),
    )
    assert [answer.status for answer in asked(served.port, whole)] == [401]


def test_connection_close_in_a_trailer_closes_the_connection_after_the_answer(
    served: EventHubServer, path: str
) -> None:
    (answer,) = asked(
        served.port, chunked(path, [b"1"], trailer=b"Connection: close\r\n") + post(path, b"2")
    )
    assert answer.status == 201
    assert stored(served, path) == [1]


@pytest.mark.parametrize(
    "field",
    [
        b"Content-Length: 50",
        b"Content-Length: 1",
        b"Transfer-Encoding: chunked",
        b"transfer-encoding: x",
    ],
)
def test_a_length_behind_the_body_is_refused(
    served: EventHubServer, path: str, field: bytes
) -> None:
    (answer,) = asked(
        served.port, chunked(path, [b"1"], trailer=field + b"\r\n") + post(path, b"2")
    )
    assert answer.status == 400
    assert stored(served, path) == []


@pytest.mark.parametrize(
    "what", [b"X: " + b"a" * 1_000_000, b"X: a\r\n" * 20_000], ids=["a field", "fields"]
)
def test_trailer_fields_are_bounded(served: EventHubServer, path: str, what: bytes) -> None:
    got = said(served.port, chunked(path, [b"1"], trailer=what)[:200_000])
    assert answers(got)[0].status == 431
    assert stored(served, path) == []


def test_a_chunk_extension_without_end_has_a_bound(served: EventHubServer, path: str) -> None:
    (answer,) = asked(
        served.port, head("POST", path, "Transfer-Encoding: chunked") + b"1;a=" + b"b" * 1_000_000
    )
    assert answer.status == 431


# Bodies in chunks of a byte, which take several turns of the loop


@pytest.mark.parametrize("half_close", [False, True])
def test_a_body_in_tiny_chunks_is_read_whole_and_the_next_request_is_answered(
    served: EventHubServer, path: str, *, half_close: bool
) -> None:
    body = [b" "] * 60_000
    whole = (
        chunked(path, [*body, b"1"])
        + chunked("/v1/channels/none.a", body)
        + chunked(path, [*body, b"2"])
        + END
    )
    got = asked(served.port, whole, half_close=half_close)
    assert [answer.status for answer in got] == [201, 404, 201, 200]
    assert stored(served, path) == [1, 2]


# Framing (RFC 9112, 6 and 7)

CODING = "Transfer-Encoding: {}"
BODY = b"1\r\n7\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("fields", "body", "word"),
    [
        ([CODING.format("xchunked")], BODY, "xchunked"),
        ([CODING.format("gzip, chunked")], BODY, "gzip, chunked"),
        ([CODING.format("identity")], BODY, "identity"),
        ([CODING.format("chunked, gzip")], BODY, "Transfer-Encoding"),
        ([CODING.format("chunked, chunked")], BODY, "Transfer-Encoding"),
        ([CODING.format("chunked")] * 2, BODY, "Transfer-Encoding"),
        ([CODING.format("gzip"), CODING.format("chunked")], BODY, "Transfer-Encoding"),
        ([CODING.format("")], BODY, "Transfer-Encoding"),
        ([CODING.format("chunked"), "Content-Length: 1"], BODY, "Content-Length"),
        (["Content-Length: 1", CODING.format("chunked")], BODY, "Content-Length"),
        (["Content-Length: 1", "Content-Length: 1"], b"7", "Content-Length"),
        (["Content-Length: 1", "Content-Length: 2"], b"7", "Content-Length"),
        (["Content-Length: 1, 1"], b"7", "Content-Length"),
        (["Content-Length: +1"], b"7", "Content-Length"),
        (["Content-Length: -1"], b"7", "Content-Length"),
        (["Content-Length: 0x1"], b"7", "Content-Length"),
        (["Content-Length: 99999999999999999999999"], b"7", "Content-Length"),
        (["Content-Length:"], b"7", "Content-Length"),
        ([CODING.format("chunked")], b"zz\r\n7\r\n0\r\n\r\n", "chunk size"),
        ([CODING.format("chunked")], b"-1\r\n7\r\n0\r\n\r\n", "chunk size"),
        ([CODING.format("chunked")], b"0x1\r\n7\r\n0\r\n\r\n", "chunk size"),
        ([CODING.format("chunked")], b"fffffffffffffffff1\r\n7\r\n0\r\n\r\n", "hunk size"),
        ([CODING.format("chunked")], b"1\r\n789\r\n0\r\n\r\n", "chunk data"),
        ([CODING.format("chunked")], b"1\n7\n0\n\n", "chunk size"),
        ([CODING.format("chunked")], b"1;a\0\r\n7\r\n0\r\n\r\n", "chunk extension"),
        (["Content-Length: 1", "X: a\r\n b"], b"7", "whitespace"),
        (["Content-Length: 1", "X : a"], b"7", "header token"),
        (["Content-Length: 1", "X: a\0b"], b"7", "header value"),
        (["Content-Length: 1", "X: a\rb"], b"7", "header value"),
        (["Content-Length: 1", "X: a\nY: b"], b"7", "header value"),
        (["Content-Length: 1", ": a"], b"7", "header token"),
    ],
)
def test_a_request_with_wrong_framing_gets_an_error_and_nothing_of_it_is_stored(
    served: EventHubServer, path: str, fields: list[str], body: bytes, word: str
) -> None:
    for parts in ((head("POST", path, *fields) + body,), (head("POST", path, *fields), body)):
        (answer,) = asked(served.port, *parts)
        assert refused(answer, word), answer
        assert answer.headers["connection"].lower() == "close"
    assert stored(served, path) == []


def test_chunk_sizes_have_no_sign_and_a_stream_says_where_it_ended(
    served: EventHubServer, path: str
) -> None:
    lines = (
        head("POST", path, CODING.format("chunked"), "Content-Type: application/x-ndjson")
        + b"4\r\n1\n2\n\r\n+1\r\n"
    )
    (answer,) = asked(served.port, lines)
    last = json.loads(answer.body.splitlines()[-1])
    assert (last["accepted"], last["done"], last["error"]["code"]) == (2, False, "invalid_request")
    assert stored(served, path) == [1, 2]


@pytest.mark.parametrize(
    ("request_", "word"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", "HTTP/2"),
        (b"GET /livez HTTP/2.0\r\n\r\n", "HTTP/2.0"),
        (b"GET /livez HTTP/3.7\r\n\r\n", "version"),
        (b"GET /livez\r\n\r\n", "HTTP/0.9"),
        (b"GET /livez HTTP/1.1\nHost: localhost\n\n", "version"),
        (b"get /livez HTTP/1.1\r\n\r\n", "not an HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (b"GET /livez HTTP/1.1\r\n\r\n", "Host"),
        (b"GET /v1/ws HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", "Host"),
        (
            head("POST", "/v1/channels/open.a", "Content-Length: 1", "Content-Length: 1") + b"1",
            "head of the request",
        ),
        (head("GET", "/livez", "X : 1"), "head of the request"),
        (
            b"POST /v1/channels/open.a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY,
            "HTTP/1.0",
        ),
    ],
)
def test_a_request_that_is_not_served_here_is_refused_with_a_reason(
    served: EventHubServer, request_: bytes, word: str
) -> None:
    (answer,) = asked(served.port, request_)
    assert refused(answer, word), answer


@pytest.mark.parametrize("query", ["", "?handling=lenient"])
def test_a_body_without_any_framing_is_told_apart_from_an_empty_one(
    served: EventHubServer, path: str, query: str
) -> None:
    without, empty, _ = asked(
        served.port,
        head("POST", path + query),
        head("POST", path + query, "Content-Length: 0"),
        END,
    )
    assert b"nothing: the request has neither a Content-Length" in without.body
    assert b"nothing" in empty.body
    assert b"neither" not in empty.body


def test_a_tunnel_is_refused(served: EventHubServer) -> None:
    (answer,) = asked(
        served.port, b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\nhello"
    )
    assert answer.status == 405


@pytest.mark.parametrize(
    "behind",
    [b"\0garbage\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", head("POST", "/", "Content-Length: x")],
)
def test_requests_before_malformed_bytes_are_answered(
    served: EventHubServer, path: str, behind: bytes
) -> None:
    got = asked(served.port, post(path, b"1") + chunked(path, [b"2"]) + behind)
    assert [answer.status for answer in got] == [201, 201, 400]
    assert stored(served, path) == [1, 2]


def test_a_pipelined_request_beyond_the_limit_is_refused_after_the_other_answers(
    served: EventHubServer, path: str
) -> None:
    got = asked(served.port, b"".join(post(path, b"%d" % number) for number in range(100)))
    assert [answer.status for answer in got] == [201] * 17 + [429]
    assert stored(served, path) == list(range(17))


@pytest.mark.parametrize(
    "media",
    [
        "Application/X-NDJSON",
        "application/x-ndjson; charset=UTF-8",
        'application/jsonl ;a="b"',
        "application/jsonlines",
        "application/x-jsonl",
    ],
)
def test_the_name_of_a_media_type_is_case_insensitive_and_may_have_parameters(
    served: EventHubServer, path: str, media: str
) -> None:
    whole = chunked(path, [b"1\n2\n"], f"CONTENT-TYPE: {media}").replace(
        b"Transfer-Encoding: chunked", b"transfer-ENCODING: Chunked"
    )
    (answer,) = asked(served.port, whole)
    assert json.loads(answer.body.splitlines()[-1])["accepted"] == 2
