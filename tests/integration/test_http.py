"""HTTP/1.1 on the wire: framing, trailers, upgrades, half-closed connections, white space,
HTTP/1.0. As raw bytes, because a library would tidy them up.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from eventhub.auth.keys import hash_key
from tests.harness.clients import WsClient, exactly, http, raw, read_until
from tests.harness.eventhub import EventHubServer
from tests.harness.http import END, Answer, answers, asked, chunked, everything, head, post, said

Start = Callable[..., EventHubServer]
KEY = "ehk_http" + "0" * 40
PROXY = "127.0.0.77"
CONFIG = f"""
heartbeat: 1
log: {{access: true}}
proxies: [{PROXY}/32]
channels:
  open: {{anonymous: [publish, subscribe, presence], presence: true, publish: [client, producer]}}
  closed: {{}}
auth:
  keys: [{{name: ana, hash: "{hash_key(KEY)}", publish: [">"], subscribe: [">"]}}]
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EventHubServer]:
    """One server for all; each test has channels of its own."""
    with EventHubServer(tmp_path_factory.mktemp("http"), CONFIG) as server:
        yield server
        assert "Traceback" not in server.log.read_text()


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    """A channel that no other test uses."""
    own = "".join(c if c.isalnum() else "-" for c in request.node.name)[-100:]
    return f"/v1/channels/open.{own}"


def stored(served: EventHubServer, path: str) -> list[object]:
    """The events of the channel."""
    return [event["data"] for event in http.get(f"{served.url}{path}?limit=1000").json()["events"]]


def refused(answer: Answer, *words: str) -> bool:
    """Whether the status is 400 and the answer has these words."""
    return answer.status == 400 and all(word in json.loads(answer.body)["detail"] for word in words)


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


# The head's bounds

OPENING = (
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
)


@pytest.mark.parametrize("packet", [1_000_000, 16_000], ids=["in one packet", "in several"])
@pytest.mark.parametrize(
    "whole",
    [
        head("GET", "/livez?" + "a" * 33_000),
        head("GET", "/v1/ws?" + "a" * 33_000, *OPENING),
        head("GET", "/livez?" + "a" * 20_000, "X: " + "a" * 13_000),
        head("GET", "/livez", *["X:"] * 300),
        head("GET", "/v1/ws", *OPENING, *["X:"] * 300),
    ],
    ids=[
        "an address",
        "an address of a WebSocket",
        "an address and a field",
        "fields",
        "fields of a WebSocket",
    ],
)
def test_a_head_has_a_bound(served: EventHubServer, whole: bytes, packet: int) -> None:
    (answer,) = asked(
        served.port, *(whole[at : at + packet] for at in range(0, len(whole), packet))
    )
    assert (answer.status, json.loads(answer.body)["code"]) == (431, "head_too_large")


def test_a_head_below_its_bounds_is_answered(served: EventHubServer) -> None:
    fields = [f"X-{number}: a" for number in range(250)]
    got = asked(
        served.port,
        head("GET", "/livez?" + "a" * 28_000, *fields) + head("GET", "/livez", *fields) + END,
    )
    assert [answer.status for answer in got] == [200] * 3


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "address",
    [
        "/livez",
        "/v1/types",
        "/v1/channels/closed.a",
        "/v1/admin/blocks",
        "/v1/sse",
        "/v1/ws",
        "/nothing",
    ],
)
def test_the_number_of_query_parameters_is_bounded_for_every_path(
    served: EventHubServer, method: str, address: str
) -> None:
    (answer,) = asked(
        served.port,
        head(method, f"{address}?a{'&a' * 256}", "Connection: close", "Content-Length: 0"),
    )
    assert refused(answer, "more than 256 parameters")


def test_an_operator_is_authenticated_before_the_query_is_checked(served: EventHubServer) -> None:
    for method, address in (("GET", "connections?limit=x"), ("DELETE", "blocks?nobody=x")):
        (answer,) = asked(served.port, head(method, f"/v1/admin/{address}", "Connection: close"))
        assert answer.status == 401


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


# Fields that are sent once

HANDSHAKE = [
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version: 13",
]


@pytest.mark.parametrize(
    "field",
    [
        "Origin: http://localhost", "Host: localhost", f"Authorization: Bearer {KEY}",
        "Idempotency-Key: a", "Content-Type: text/plain",
        "ce-type: a", "ce-source: a", "ce-subject: a", "Last-Event-ID: a-1",
        "Sec-Fetch-Site: same-origin", "Sec-Fetch-Dest: empty",
    ],
)  # fmt: skip
def test_a_field_that_is_sent_twice_is_refused_by_name(
    served: EventHubServer, asgi_hub: EventHubServer, path: str, field: str
) -> None:
    name = field.partition(":")[0]
    fields = [field] if name == "Host" else [field, field]
    twice = post(path, b"1", "Connection: close", *fields)
    for server in (served, asgi_hub):
        (answer,) = asked(server.port, twice)
        assert refused(answer, f"more than one header {name}"), (server.lane, answer)
    assert stored(served, path) == []


@pytest.mark.parametrize("field", [*HANDSHAKE[2:], "Origin: http://localhost", "Host: localhost"])
def test_a_field_that_is_sent_twice_in_a_handshake_is_refused_by_name(
    served: EventHubServer, field: str
) -> None:
    (answer,) = asked(
        served.port,
        head(
            "GET",
            "/v1/ws",
            *HANDSHAKE,
            field,
            *([] if field in HANDSHAKE or "Host" in field else [field]),
        ),
    )
    assert refused(answer, f"more than one header {field.partition(':')[0]}")


def test_fields_that_make_a_list_may_be_repeated(served: EventHubServer, path: str) -> None:
    fields = [
        "X-Forwarded-For: 9.9.9.9",
        "X-Forwarded-For: 8.8.8.8",
        "Accept: a",
        "Accept: b",
        "Content-Encoding: identity",
    ]
    (answer,) = asked(
        served.port,
        post(path, b"1", "Connection: close", *fields, "Content-Encoding: identity"),
        source=PROXY,
    )
    assert answer.status == 201
    assert served.lines("request")[-1]["client"] == "8.8.8.8"
    (answer,) = asked(
        served.port,
        post(
            path, b"1", "Connection: close", "Content-Encoding: gzip", "Content-Encoding: identity"
        ),
    )
    assert answer.status == 415


# Upgrades that are declined (RFC 9110, 7.8)

H2C = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAEAAEAAAAIAAAAB"]
UPGRADES = [
    H2C,
    ["Connection: upgrade", "Upgrade: websocket"],
    ["Connection: Upgrade", "Upgrade: foo/1, bar"],
    ["Connection: keep-alive", "Connection: Upgrade", "Upgrade: TLS/1.0"],
]


@pytest.mark.parametrize(
    "upgrade", UPGRADES, ids=lambda fields: fields[-1].partition(":")[2].strip()
)
@pytest.mark.parametrize(
    "pieces", [1, 2, 0], ids=["in one packet", "the body in another", "in one byte a packet"]
)
def test_a_request_with_a_declined_upgrade_is_answered_as_if_the_header_were_absent(
    served: EventHubServer, path: str, upgrade: list[str], pieces: int
) -> None:
    ndjson = "Content-Type: application/x-ndjson"
    whole = (
        post(path, b"1", *upgrade)
        + chunked(path, [b"[2", b",3]"], *upgrade)
        + head("GET", path, *H2C)
        + post(path, b"4")
    )
    whole += post(path, b"5\n6\n", ndjson, *upgrade)
    at = whole.index(b"\r\n\r\n") + 4
    parts = (
        [whole]
        if pieces == 1
        else [whole[:at], whole[at:]]
        if pieces
        else [bytes([byte]) for byte in whole]
    )
    got = asked(served.port, *parts, half_close=True)
    assert [answer.status for answer in got] == [201, 201, 200, 201, 200]
    assert [event["data"] for event in json.loads(got[2].body)["events"]] == [1, 2, 3]
    (streamed,) = asked(served.port, chunked(path, [b"7\n", b"8\n"], ndjson, *upgrade))
    assert json.loads(streamed.body.splitlines()[-1])["accepted"] == 2
    assert stored(served, path) == [1, 2, 3, 4, 5, 6, 7, 8]


def test_http_1_0_has_no_upgrade(served: EventHubServer, path: str) -> None:
    (answer,) = asked(served.port, post(path, b"1", *H2C, version="1.0"))
    assert answer.status == 201
    (answer,) = asked(served.port, head("GET", "/v1/ws", *HANDSHAKE, version="1.0"))
    assert answer.status == 426


def test_an_upgrade_may_offer_other_protocols_beside_websocket(
    served: EventHubServer,
) -> None:
    with raw(served.port) as sock:
        sock.sendall(
            head("GET", "/v1/ws?channel=open.a", "Upgrade: h2c, WebSocket", *HANDSHAKE[1:])
        )
        assert exactly(sock, 12) == b"HTTP/1.1 101"


@pytest.mark.parametrize("body", ["Content-Length: 3", "Transfer-Encoding: chunked"])
def test_a_handshake_has_no_body(served: EventHubServer, body: str) -> None:
    (answer,) = asked(
        served.port,
        head("GET", "/v1/ws", *HANDSHAKE, body) + b"3\r\nabc\r\n0\r\nAuthorization: a\r\n\r\n",
    )
    assert refused(answer, "body")


def test_a_handshake_that_is_refused_is_answered_although_the_client_goes_on_sending(
    served: EventHubServer,
) -> None:
    with raw(served.port) as sock:
        sock.sendall(head("GET", "/v1/nothing", *HANDSHAKE))
        assert exactly(sock, 12) == b"HTTP/1.1 404"
        sock.sendall(b"\x81\x80abcd" * 10_000)
        assert everything(sock).endswith(b"}")


# Half-closed connections


def test_a_client_that_closes_its_sending_half_gets_the_answers_that_are_due(
    served: EventHubServer, path: str
) -> None:
    (answer,) = asked(served.port, post(path, b"1"), half_close=True)
    assert answer.status == 201
    (answer,) = asked(
        served.port,
        chunked(path, [b"2\n", b"3"], "Content-Type: application/x-ndjson"),
        half_close=True,
    )
    assert json.loads(answer.body.splitlines()[-1])["done"]
    got = asked(served.port, head("GET", path) + post(path, b"4"), half_close=True)
    assert [len(json.loads(got[0].body)["events"]), got[1].status] == [3, 201]
    assert stored(served, path) == [1, 2, 3, 4]


def test_an_empty_body_ends_before_the_client_s_half_does(
    served: EventHubServer, path: str
) -> None:
    empty = head("POST", path, "Content-Type: application/x-ndjson", "Content-Length: 0")
    (answer,) = asked(served.port, empty, half_close=True)
    assert (answer.status, json.loads(answer.body)["done"]) == (200, True)
    (answer,) = asked(served.port, post(path, b""), half_close=True)
    assert refused(answer, "expected JSON")


def test_a_client_that_closed_its_sending_half_gets_an_answer_that_waited_for_the_disk(
    tmp_path: Path,
) -> None:
    with EventHubServer(
        tmp_path, f"broker: sqlite:///{tmp_path}/events.db\nchannels: {{open: {{}}}}\n"
    ) as hub:
        (answer,) = asked(hub.port, post("/v1/channels/open.a", b"1"), half_close=True)
        assert answer.status == 201


@pytest.mark.parametrize(
    ("begun", "detail"),
    [
        (b'"abc', "body"),
        (b"", "body"),
    ],
)
def test_a_body_that_ends_too_early_is_answered_and_not_stored(
    served: EventHubServer, path: str, begun: bytes, detail: str
) -> None:
    for start in (
        head("POST", path, "Content-Length: 10"),
        head("POST", path, "Transfer-Encoding: chunked") + b"a\r\n",
    ):
        (answer,) = asked(served.port, start + begun, half_close=True)
        assert refused(answer, detail), answer
    assert stored(served, path) == []


def test_of_a_stream_that_ends_too_early_whole_lines_are_stored_and_the_answer_says_so(
    served: EventHubServer, path: str
) -> None:
    begun = chunked(path, [b"1\n2\n3"], "Content-Type: application/x-ndjson").removesuffix(
        b"0\r\n\r\n"
    )
    (answer,) = asked(served.port, begun, half_close=True)
    last = json.loads(answer.body.splitlines()[-1])
    assert (last["accepted"], last["done"], last["error"]["code"]) == (2, False, "invalid_request")
    assert stored(served, path) == [1, 2]


def test_a_head_that_ends_too_early_gets_an_answer_and_an_empty_connection_none(
    served: EventHubServer,
) -> None:
    (answer,) = asked(served.port, b"GET /livez HTTP/1.1\r\nHo", half_close=True)
    assert refused(answer, "head")
    assert said(served.port, half_close=True) == b""


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
def test_a_reader_that_closes_its_sending_half_reads_on_and_one_that_has_gone_is_noticed(
    served: EventHubServer, path: str, transport: str
) -> None:
    with WsClient(f"{served.ws_url}") as watcher:
        channel = path.rpartition("/")[2]
        watcher.subscribe(channel, presence=True)
        with raw(served.port) as sock:
            sock.sendall(head("GET", f"{path}/{transport}?member=eve"))
            sock.shutdown(socket.SHUT_WR)  # as `nc -N` does
            assert watcher.until("join")["member"] == {"id": "eve"}
            for number in range(3):
                assert http.post(f"{served.url}{path}", content=str(number)).status_code == 201
                got = b""
                while b'"data":%d' % number not in got:
                    got += exactly(sock, 1)
        assert watcher.until("leave")["member"] == {"id": "eve"}


# Optional white space, and names that are case-insensitive


@pytest.mark.parametrize("space", [" ", "\t", " \t  "])
def test_white_space_around_a_header_value_is_not_part_of_it(
    served: EventHubServer, asgi_hub: EventHubServer, path: str, space: str
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    names = {
        "Idempotency-Key": "a",
        "traceparent": trace,
        "ce-type": "t",
        "Content-Type": "application/json",
        "Content-Encoding": "identity",
    }
    fields = [f"{name}:{space}{value}{space}" for name, value in names.items()]
    for server, channel in ((served, path), (asgi_hub, path.replace("open.", "iot."))):
        body = b'{"value":1}'
        got = asked(
            server.port,
            post(channel, body, *fields)
            + post(channel, body, "Idempotency-Key: a", "Connection: close"),
        )
        assert [answer.status for answer in got] == [201, 201], (server.lane, got)
        assert got[1].headers["idempotent-replayed"] == "true"
        (event,) = http.get(f"{server.url}{channel}").json()["events"]
        assert event["attributes"] == {"type": "t", "traceparent": trace}


def test_white_space_around_a_header_that_decides_is_not_part_of_its_value(
    served: EventHubServer, path: str
) -> None:
    with raw(served.port) as sock:
        sock.sendall(head("GET", "/v1/ws?channel=open.a", *(f"{field} \t" for field in HANDSHAKE)))
        assert exactly(sock, 12) == b"HTTP/1.1 101"
    (answer,) = asked(
        served.port,
        post("/v1/channels/closed.a", b"1", f"Authorization: Bearer {KEY} ", "Connection: close "),
    )
    assert answer.status == 201
    (answer,) = asked(
        served.port, post(path, b"1", "Host2: x", "Expect: 100-continue ", "Connection: close")
    )
    assert answer.status == 201


@pytest.mark.parametrize(
    "coding", ["Identity", "IDENTITY", "identity, identity", " identity ,Identity", ""]
)
def test_a_body_with_content_encoding_identity_is_accepted(
    served: EventHubServer, path: str, coding: str
) -> None:
    (answer,) = asked(
        served.port, post(path, b"1", f"Content-Encoding: {coding}", "Connection: close")
    )
    assert answer.status == 201


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "identity, gzip", "zstd"])
def test_a_body_with_a_content_encoding_is_refused(
    served: EventHubServer, path: str, coding: str
) -> None:
    (answer,) = asked(
        served.port, post(path, b"1", f"Content-Encoding: {coding}", "Connection: close")
    )
    assert answer.status == 415


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


# HTTP/1.0, HEAD, Expect


@pytest.mark.parametrize("transport", ["sse", "ndjson"])
def test_http_1_0_gets_a_stream_that_ends_with_its_connection(
    served: EventHubServer, path: str, transport: str
) -> None:
    assert http.post(f"{served.url}{path}", content="7").status_code == 201
    with raw(served.port) as sock:
        sock.sendall(
            head(
                "GET", f"{path}/{transport}?since=earliest", "Connection: keep-alive", version="1.0"
            )
        )
        got = b""
        while b'"data":7' not in got:
            got += exactly(sock, 1)
    fields, _, body = got.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in fields.lower()
    assert b"connection: close" in fields.lower()
    assert body.startswith((b"retry: ", b'{"type":"subscribed"')), "no size of a chunk"


def test_http_1_0_gets_the_progress_of_a_stream_without_chunks(
    served: EventHubServer, path: str
) -> None:
    (answer,) = asked(
        served.port, post(path, b"1\n2\n", "Content-Type: application/x-ndjson", version="1.0")
    )
    assert "transfer-encoding" not in answer.headers
    assert json.loads(answer.body.splitlines()[-1])["accepted"] == 2


def test_http_1_0_keeps_a_connection_on_request_if_the_length_is_known(
    served: EventHubServer, path: str
) -> None:
    kept = "Connection: Keep-Alive"
    got = asked(
        served.port,
        post(path, b"1", kept, version="1.0")
        + head("GET", path, kept, version="1.0")
        + head("GET", path, version="1.0"),
    )
    assert [answer.headers["connection"] for answer in got] == ["keep-alive", "keep-alive", "close"]
    (answer,) = asked(served.port, post(path, b"2", "Expect: 100-continue", version="1.0"))
    assert answer.status == 201
    assert not said(
        served.port, post(path, b"3", "Expect: 100-continue", version="1.0")
    ).startswith(b"HTTP/1.1 100")


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("what", ["", "/sse", "/ndjson", "/none"])
def test_an_answer_to_head_has_no_body_and_no_transfer_encoding(
    served: EventHubServer, path: str, version: str, what: str
) -> None:
    got = said(served.port, head("HEAD", path + what, "Connection: close", version=version))
    assert got.endswith(b"\r\n\r\n")
    assert got.count(b"\r\n\r\n") == 1
    assert b"transfer-encoding" not in got.lower()


def test_a_client_that_expects_100_gets_it_or_the_answer_and_no_later_bytes_are_misread(
    served: EventHubServer, path: str
) -> None:
    waits = head("POST", path, "Content-Length: 1", "Expect: 100-Continue")
    with raw(served.port) as sock:
        sock.sendall(waits)
        assert exactly(sock, 25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"1" + END)
        assert [answer.status for answer in answers(everything(sock))] == [201, 200]
    refused_ = head("POST", "/v1/channels/closed.a", "Content-Length: 100", "Expect: 100-continue")
    (answer,) = asked(served.port, refused_)
    assert (answer.status, answer.headers["connection"]) == (401, "close"), (
        "the next bytes could be the body, or a request"
    )


# Kept connections


def ask(sock: socket.socket) -> None:
    """Send a request and read its answer; the connection stays open."""
    sock.sendall(END.replace(b"Connection: close\r\n", b""))
    read_until(sock, b'{"status":"ok"}')


def test_a_kept_connection_waits_as_long_as_the_settings_say_and_ends_without_a_reset(
    start: Start,
) -> None:
    hub = start("limits: {keep_alive_seconds: 1}")
    with raw(hub.port) as sock:
        ask(sock)
        begun = time.monotonic()
        ask(sock)
        assert sock.recv(1) == b""
        assert time.monotonic() - begun > 0.9
        sock.sendall(post("/v1/channels/chat.a", b"{}"))  # it crosses the end: an end, and no reset
        assert sock.recv(1) == b""


def test_a_full_node_closes_the_connection_that_has_waited_longest_and_nobody_is_refused(
    start: Start,
) -> None:
    hub = start("limits: {connections: 5}")
    with ExitStack() as stack:
        kept = [stack.enter_context(raw(hub.port)) for _ in range(5)]
        for sock in (*kept, kept[0]):
            ask(sock)
        ask(stack.enter_context(raw(hub.port)))
        assert kept[1].recv(1) == b"", "the first one has asked again since"
        kept[1].sendall(post("/v1/channels/logs.crossing", b'{"level":"info","message":"crossed"}'))
        assert kept[1].recv(1) == b"", "what crosses the end meets no reset"
        ask(kept[0])
        assert http.get(f"{hub.url}/v1/channels/logs.crossing").json()["events"] == [], (
            "and nothing of it was stored"
        )


def test_a_full_client_address_closes_an_idle_connection_of_its_own(start: Start) -> None:
    hub = start("limits: {connections_per_address: 2}")
    with ExitStack() as stack:
        other = stack.enter_context(raw(hub.port, source="127.0.0.5"))
        kept = [stack.enter_context(raw(hub.port, source="127.0.0.6")) for _ in range(2)]
        for sock in (other, *kept):
            ask(sock)
        ask(stack.enter_context(raw(hub.port, source="127.0.0.6")))
        assert kept[0].recv(1) == b""
        ask(other)


def test_connections_in_use_are_not_closed_to_make_room(start: Start) -> None:
    hub = start("limits: {connections: 5}\nheartbeat: 1")
    with ExitStack() as stack:
        for number in range(5):
            sock = stack.enter_context(raw(hub.port))
            path = "/v1/channels/chat.a/sse" if number else "/v1/channels/chat.a"
            sock.sendall(head("GET", path) if number else head("POST", path, "Content-Length: 9"))
            if number:
                exactly(sock, 12)
        (answer,) = asked(hub.port, head("GET", "/v1/types"))
        assert (answer.status, json.loads(answer.body)["code"]) == (503, "node_full")
