"""server/websocket/handshake.py: which upgrade requests are accepted, and the 101 response."""

import pytest

from eventhub.auth.tokens import UnknownKey
from eventhub.errors import EventHubError, Internal, InvalidRequest, NotFound
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.websocket.handshake import (
    SUBPROTOCOL,
    WEBSOCKET_PATH,
    Headers,
    chosen_of,
    is_shown,
    negotiate,
    opening_of_page,
)
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.websocket.client import HEADERS, ORIGIN

OFFER = (b"sec-websocket-extensions", b"permessage-deflate")
ACCEPT = b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
COMPRESSED = (
    b"Sec-WebSocket-Extensions: "
    b"permessage-deflate; server_no_context_takeover; client_no_context_takeover"
)


def without(name: bytes) -> Headers:
    return [field for field in HEADERS if field[0] != name]


def answer(*more: tuple[bytes, bytes], manager: ConnectionManager | None = None) -> bytes:
    headers = [*HEADERS, *more]
    return negotiate(manager or build(), "GET", b"/v1/ws", headers).answer


def test_the_path_and_the_subprotocol_are_those_of_the_protocol() -> None:
    assert (WEBSOCKET_PATH, SUBPROTOCOL) == ("/v1/ws", "eventhub.v1")


def test_the_answer_is_that_of_the_rfc() -> None:
    lines = answer().split(b"\r\n")
    assert lines == [
        b"HTTP/1.1 101 Switching Protocols",
        b"Upgrade: websocket",
        b"Connection: Upgrade",
        ACCEPT,
        b"",
        b"",
    ]


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(b"eventhub.v1", True), (b"other, eventhub.v1", True), (b"eventhub.v2", False)],
)
def test_the_subprotocol_is_named_if_it_is_offered(offered: bytes, *, chosen: bool) -> None:
    line = [b"Sec-WebSocket-Protocol: eventhub.v1"] if chosen else []
    lines = answer((b"sec-websocket-protocol", offered)).split(b"\r\n")
    assert lines[3:] == [ACCEPT, *line, b"", b""]


def test_subprotocols_in_several_headers_are_one_list() -> None:
    name = b"sec-websocket-protocol"
    assert b"eventhub.v1" in answer((name, b"other"), (name, b"eventhub.v1"))


@pytest.mark.parametrize("compression", [True, False])
def test_compression_needs_both_sides(*, compression: bool) -> None:
    manager = build(compression=compression)
    accepted = [COMPRESSED] if compression else []
    assert answer(OFFER, manager=manager).split(b"\r\n")[3:] == [ACCEPT, *accepted, b"", b""]
    assert COMPRESSED not in answer(manager=manager)
    result = negotiate(manager, "GET", b"/v1/ws", [*HEADERS, OFFER])
    assert result.deflate is compression


def test_the_query_string_is_given_back_without_its_token() -> None:
    result = negotiate(build(), "GET", b"/v1/ws?channel=chat.a", HEADERS)
    assert (result.query, result.principal.known) == (b"channel=chat.a", False)


@pytest.mark.parametrize(
    "key",
    [b"", b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZQ==", b"?" * 24, b"dGhlIHNhbXBsZSBub25jZSE="],
    ids=["none", "no padding", "short", "not base64", "long"],
)
def test_a_key_is_sixteen_bytes(key: bytes) -> None:
    headers = [*without(b"sec-websocket-key"), (b"sec-websocket-key", key)]
    with pytest.raises(InvalidRequest, match="Sec-WebSocket-Key"):
        negotiate(build(), "GET", b"/v1/ws", headers)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("POST", HEADERS),
        ("GET", without(b"sec-websocket-version")),
        ("GET", [*without(b"sec-websocket-version"), (b"sec-websocket-version", b"12")]),
    ],
)
def test_the_method_is_get_and_the_version_13(method: str, headers: Headers) -> None:
    with pytest.raises(InvalidRequest, match="Sec-WebSocket-Version: 13"):
        negotiate(build(), method, b"/v1/ws", headers)


@pytest.mark.parametrize("url", [b"/v1/w%73", b"/v1/ws?", b"http://localhost/v1/ws"])
def test_the_path_may_be_written_in_other_ways(url: bytes) -> None:
    assert negotiate(build(), "GET", url, HEADERS).answer.startswith(b"HTTP/1.1 101 ")


@pytest.mark.parametrize("url", [b"/", b"/v1/ws/", b"/v1/WS", b"http://localhost"])
def test_any_other_path_is_not_found(url: bytes) -> None:
    with pytest.raises(NotFound, match="/v1/ws"):
        negotiate(build(), "GET", url, HEADERS)


@pytest.mark.parametrize("url", [b"no url", b"/v1/ws?a=%zz"])
def test_what_is_no_url_is_refused(url: bytes) -> None:
    with pytest.raises(InvalidRequest):
        negotiate(build(), "GET", url, HEADERS)


def test_a_long_path_is_not_repeated_whole() -> None:
    with pytest.raises(NotFound) as caught:
        negotiate(build(), "GET", b"/" + b"x" * 5000, HEADERS)
    assert len(caught.value.message) < 300


def test_hosts_and_origins_and_credentials_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = build()
    seen: list[object] = []
    monkeypatch.setattr(manager.host_check, "check", seen.append)
    monkeypatch.setattr(manager.origin_check, "check", lambda given: seen.append(given[b"origin"]))

    def unknown(*_: object) -> None:
        raise UnknownKey("k1")

    monkeypatch.setattr(manager.authentication, "identify", unknown)
    with pytest.raises(UnknownKey):
        negotiate(manager, "GET", b"/v1/ws", [*HEADERS, ORIGIN])
    assert seen == [b"localhost", ORIGIN[1]]


# Refusals


@pytest.mark.parametrize(
    ("error", "headers", "shown"),
    [
        (NotFound("x"), [], True),
        (NotFound("x"), [ORIGIN], False),
        (Internal("x"), [ORIGIN], True),
    ],
    ids=["a program", "a page", "a fault"],
)
def test_a_page_sees_no_status_but_that_of_a_fault(
    error: EventHubError, headers: Headers, *, shown: bool
) -> None:
    assert is_shown(error, headers) is shown


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [
        ("eventhub.v1", "eventhub.v1"),
        ("cloudevents.json", "cloudevents.json"),
        ("cloudevents.avro, cloudevents.json, eventhub.v1", "cloudevents.json"),
        ("eventhub.v1,cloudevents.json", "eventhub.v1"),
        ("other", None),
    ],
)
def test_the_first_known_subprotocol_is_spoken(offered: str, chosen: str | None) -> None:
    names = [name.strip() for name in offered.split(",")]
    assert chosen_of(names) == chosen


def test_a_page_is_answered_101_only_if_its_request_is_valid() -> None:
    error = NotFound("x")
    opening = opening_of_page(error, "GET", [*HEADERS, ORIGIN, OFFER])
    assert opening is not None
    answer, subprotocol = opening
    assert ACCEPT in answer
    assert b"Extensions" not in answer
    assert subprotocol is None
    assert opening_of_page(error, "POST", [*HEADERS, ORIGIN]) is None
    assert opening_of_page(error, "GET", HEADERS) is None
