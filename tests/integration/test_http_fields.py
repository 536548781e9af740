"""HTTP/1.1 on the wire: heads and their fields, upgrades, white space.

As raw bytes, because a library would tidy them up.
"""

import json

import pytest

from tests.harness.clients import exactly, http, raw
from tests.harness.eventhub import EventHubServer
from tests.harness.http import END, asked, chunked, everything, head, post
from tests.integration.http_server import KEY, PROXY, path_fixture, refused, served_fixture, stored  # noqa: F401

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
        post(path, b"1", "Connection: close", "Content-Encoding: br", "Content-Encoding: identity"),
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
