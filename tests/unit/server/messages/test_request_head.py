"""server/messages/request_head.py: what a head may say, and what an Upgrade asks for."""

import pytest

from eventhub.errors import InvalidRequest
from eventhub.server.messages.request_head import (
    MAX_ENCODED,
    SINGLE,
    check,
    check_encoding,
    check_query,
    check_single,
    has_body,
    headers_by_name,
    stripped,
    wants_websocket,
    without_upgrade,
)

HOST = (b"host", b"localhost")


def test_an_ordinary_head_is_fine() -> None:
    check("1.1", [HOST, (b"transfer-encoding", b"Chunked"), (b"accept", b"a"), (b"accept", b"b")])
    check("1.0", [(b"content-length", b"3")])


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0"])
def test_other_versions_are_refused(version: str) -> None:
    with pytest.raises(InvalidRequest, match=f"HTTP/{version}; expected HTTP/1.1"):
        check(version, [HOST])


def test_http_1_1_names_its_host() -> None:
    with pytest.raises(InvalidRequest, match=r"HTTP/1.1 and has no header Host; expected one"):
        check("1.1", [(b"accept", b"a")])
    check("1.1", [(b"host", b"")])
    check("1.0", [(b"accept", b"a")])


@pytest.mark.parametrize(
    "coding", [b"gzip", b"gzip, chunked", b"identity", b"xchunked", b"chunked;q=1", b""]
)
def test_other_codings_than_chunked_are_refused(coding: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"Transfer-Encoding is .* expected chunked"):
        check("1.1", [HOST, (b"transfer-encoding", coding)])


def test_http_1_0_has_no_chunks() -> None:
    with pytest.raises(
        InvalidRequest, match=r"HTTP/1.0 and has a Transfer-Encoding; expected Content-Length"
    ):
        check("1.0", [(b"transfer-encoding", b"chunked")])


@pytest.mark.parametrize("name", sorted(SINGLE))
def test_a_field_that_is_sent_once_is_named_when_it_comes_twice(name: bytes) -> None:
    for again in (b"a", b"b"):
        with pytest.raises(InvalidRequest, match=f"more than one header {SINGLE[name]} was sent"):
            check_single([HOST, (name, b"a"), (name, again)])


def test_values_of_a_field_that_is_repeated_are_joined_in_order() -> None:
    assert headers_by_name([HOST, (b"accept", b"a"), (b"accept", b"b, c")]) == {
        b"host": b"localhost",
        b"accept": b"a, b, c",
    }


def test_white_space_around_values_is_taken_away() -> None:
    assert stripped([(b"a", b" \tb c\t ")]) == [(b"a", b"b c")]


def test_a_head_says_whether_a_body_follows() -> None:
    assert not has_body([HOST])
    assert not has_body([(b"content-length", b"0")])
    assert has_body([(b"content-length", b"1")])
    assert has_body([(b"transfer-encoding", b"chunked")])


def upgrades(*values: bytes) -> list[tuple[bytes, bytes]]:
    return [HOST, *((b"upgrade", value) for value in values)]


@pytest.mark.parametrize(
    "values", [[b"websocket"], [b"WebSocket"], [b"h2c,\twebsocket"], [b"h2c", b"websocket"]]
)
def test_a_get_of_http_1_1_may_become_a_websocket(values: list[bytes]) -> None:
    assert wants_websocket(b"GET", "1.1", upgrades(*values))
    assert not wants_websocket(b"GET", "1.0", upgrades(*values))
    assert not wants_websocket(b"POST", "1.1", upgrades(*values))


@pytest.mark.parametrize("values", [[], [b"h2c"], [b"websocket2"]])
def test_other_upgrades_are_declined(values: list[bytes]) -> None:
    assert not wants_websocket(b"GET", "1.1", upgrades(*values))


def test_a_head_without_its_upgrade_is_otherwise_the_same() -> None:
    fields = [
        HOST,
        (b"upgrade", b"h2c"),
        (b"connection", b"Upgrade, HTTP2-Settings"),
        (b"http2-settings", b"AA"),
        (b"content-length", b"3"),
    ]
    head = without_upgrade(b"POST", b"/a?b=%20c", "1.1", fields)
    assert head == (
        b"POST /a?b=%20c HTTP/1.1\r\nhost: localhost\r\n"
        b"connection: Upgrade, HTTP2-Settings\r\ncontent-length: 3\r\n\r\n"
    )


@pytest.mark.parametrize("address", [b"/a%", b"/a%4", b"/a?b=%zz", b"/%%41", b"%" * 4_000])
def test_a_percent_sign_that_encodes_nothing_is_refused(address: bytes) -> None:
    with pytest.raises(InvalidRequest, match="expected %25 for a % itself"):
        check_encoding(address)
    with pytest.raises(InvalidRequest, match="expected %25 for a % itself"):
        check_query(address)
    check_encoding(b"/v1/channels/chat.a?since=%2d20&b=%C3%A9%25")


def test_an_address_with_too_many_encoded_bytes_is_refused_before_it_is_decoded() -> None:
    check_query(b"limit=" + b"%20" * MAX_ENCODED)
    with pytest.raises(InvalidRequest, match="4097 percent-encoded bytes; expected 4096 at most"):
        check_query(b"limit=" + b"%20" * (MAX_ENCODED + 1))
