"""A handshake with a known head gets the answer that it would have got if it were parsed."""

import base64

import pytest

from eventhub.auth.grants import Grants
from eventhub.auth.principal import ANYONE, STRANGER, CredentialKind, Principal
from eventhub.server.websocket import known_handshakes
from eventhub.server.websocket.handshake import SWITCHING, HandshakeResult, accept_of
from eventhub.server.websocket.known_handshakes import HEAD_BYTES, KnownHandshakes
from eventhub.server.websocket.upgrade import UpgradeRequest

URL = b"/v1/ws?channel=chat.a"
KEYS = [base64.b64encode(bytes([number] * 16)) for number in range(3)]


def fields(*more: tuple[bytes, bytes], key: bytes = KEYS[0]) -> list[tuple[bytes, bytes]]:
    return [
        (b"Host", b"localhost"),
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Key", key),
        (b"Sec-WebSocket-Version", b"13"),
        *more,
    ]


def head_of(*more: tuple[bytes, bytes], key: bytes = KEYS[0], url: bytes = URL) -> bytes:
    lines = b"".join(b"%b: %b\r\n" % field for field in fields(*more, key=key))
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (url, lines)


def result_of(key: bytes, principal: Principal = ANYONE) -> HandshakeResult:
    answer = SWITCHING % (accept_of(key), b"", b"")
    return HandshakeResult(b"channel=chat.a", principal, deflate=False, answer=answer)


def remember(
    handshakes: KnownHandshakes,
    head: bytes,
    *more: tuple[bytes, bytes],
    principal: Principal = ANYONE,
    url: bytes = URL,
    key: bytes = KEYS[0],
) -> None:
    """As after the head was parsed: names in lower case."""
    parsed = [(name.lower(), value) for name, value in fields(*more, key=key)]
    handshakes.remember(head, url, parsed, result_of(key, principal))


@pytest.fixture
def known() -> KnownHandshakes:
    handshakes = KnownHandshakes()
    remember(handshakes, head_of())
    return handshakes


def test_the_same_head_with_another_key_is_known_with_that_keys_answer(
    known: KnownHandshakes,
) -> None:
    found = known.find(head_of(key=KEYS[1]) + b"tail")
    parsed = [(name.lower(), value) for name, value in fields()]
    assert found == UpgradeRequest("GET", URL, parsed, b"tail", result_of(KEYS[1]))


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(head_of(key=KEYS[1])[:-1], id="incomplete"),
        pytest.param(head_of(key=KEYS[1], url=URL + b"b"), id="another address"),
        pytest.param(head_of((b"Origin", b"https://elsewhere.example")), id="a field more"),
        pytest.param(head_of().replace(b"localhost", b"localhosT"), id="another host"),
        pytest.param(head_of().replace(b"GET", b"PUT"), id="another method"),
        pytest.param(head_of().replace(b"HTTP/1.1", b"HTTP/1.0"), id="another version"),
        pytest.param(head_of().replace(b"\r\n", b"\n"), id="bare line feeds"),
        pytest.param(head_of(key=KEYS[1][:-1]), id="a short key"),
        pytest.param(head_of(key=KEYS[1] + b"="), id="a long key"),
        pytest.param(head_of(key=b"!" * 24), id="a key that is not base64"),
        pytest.param(head_of(key=base64.b64encode(b"x" * 18)), id="a key of 18 bytes"),
        pytest.param(head_of(key=b"\r\nTransfer-Encoding: 1\r\n"), id="fields in place of a key"),
        pytest.param(b"\r\n" + head_of(), id="a line break before it"),
        pytest.param(head_of().replace(b"Key: ", b"key: "), id="the key's name in another case"),
        pytest.param(head_of().replace(b"Key: ", b"Key:"), id="no space before the key"),
    ],
)
def test_any_other_head_is_parsed(known: KnownHandshakes, data: bytes) -> None:
    assert known.find(data) is None


def test_a_head_with_a_credential_is_not_remembered() -> None:
    handshakes = KnownHandshakes()
    remember(handshakes, head_of(), principal=Principal(CredentialKind.TOKEN, "ana", Grants({})))
    assert handshakes.find(head_of()) is None
    remember(handshakes, head_of(), principal=STRANGER)
    assert handshakes.find(head_of()) is not None


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"", id="read in parts"),
        pytest.param(b"POST / HTTP/1.1\r\n\r\n" + head_of(), id="behind another request"),
        pytest.param(head_of().replace(b"\r\nHost", b"\nHost"), id="a bare line feed"),
        pytest.param(head_of().replace(b"localhost", b"local\r\n host"), id="a folded line"),
        pytest.param(head_of((b"X", b"y")), id="a field that the parser did not see"),
        pytest.param(head_of().replace(b"HTTP/1.1", b"HTTP/1.1 "), id="a space behind the version"),
        pytest.param(head_of(url=b"/v1/ws"), id="another address than was parsed"),
        pytest.param(head_of(key=KEYS[1]), id="another key than was answered"),
    ],
)
def test_a_head_that_may_have_two_meanings_is_not_remembered(head: bytes) -> None:
    handshakes = KnownHandshakes()
    remember(handshakes, head)
    assert handshakes.find(head) is None


def test_a_long_head_is_not_remembered() -> None:
    handshakes = KnownHandshakes()
    room = HEAD_BYTES - len(head_of((b"X", b"")))
    for more, expected in ((0, True), (1, False)):
        field = (b"X", b"y" * (room + more))
        remember(handshakes, head_of(field), field)
        assert (handshakes.find(head_of(field)) is not None) is expected


def test_the_oldest_head_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_handshakes, "HEADS", 2)
    handshakes = KnownHandshakes()
    urls = [b"/v1/ws?channel=chat.%d" % number for number in range(3)]
    for url in urls:
        remember(handshakes, head_of(url=url), url=url)
    assert [handshakes.find(head_of(url=url)) is not None for url in urls] == [False, True, True]
