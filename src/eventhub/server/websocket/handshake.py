"""The opening handshake of a WebSocket, RFC 6455 chapter 4, without I/O."""

import binascii
import hashlib
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

import httptools

from eventhub.auth.principal import Principal
from eventhub.delivery.cloudevents import SUBPROTOCOL as CLOUDEVENTS
from eventhub.errors import EventHubError, InvalidRequest, NotFound
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.request_head import check_encoding, headers_by_name
from eventhub.server.websocket.frame_parser import accept_deflate

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
WEBSOCKET_PATH = "/v1/ws"
SUBPROTOCOL = "eventhub.v1"

SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n%b%b\r\n"
)
SUBPROTOCOL_LINE = b"Sec-WebSocket-Protocol: %b\r\n"
DEFLATE_LINE = (
    b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
    b"client_no_context_takeover\r\n"
)

Headers = Sequence[tuple[bytes, bytes]]


class HandshakeRequest(NamedTuple):
    """A valid handshake request. Path and credentials are not checked yet."""

    key: bytes
    offered: list[str]
    extensions: str

    def answer(self, *, deflate: bool) -> bytes:
        """The 101 response."""
        chosen = chosen_of(self.offered)
        subprotocol = SUBPROTOCOL_LINE % chosen.encode() if chosen else b""
        return SWITCHING % (accept_of(self.key), subprotocol, DEFLATE_LINE if deflate else b"")


class HandshakeResult(NamedTuple):
    """What both sides agreed on, and the 101 response that says so."""

    query: bytes
    principal: Principal
    deflate: bool
    answer: bytes
    subprotocol: str | None = None


def negotiate(
    manager: ConnectionManager, method: str, url: bytes, headers: Headers, client: str = ""
) -> HandshakeResult:
    """Decide about an upgrade request of the client at this address.

    Raises EventHubError to refuse it, and UnknownKey when its token's key must be fetched first.
    """
    check_encoding(url)
    try:
        address = httptools.parse_url(url)
    except httptools.HttpParserError:
        raise InvalidRequest("the address is not a URL") from None
    path = unquote((address.path or b"/").decode("latin-1"))
    if path != WEBSOCKET_PATH:
        raise not_here(path)
    found = headers_by_name(headers)
    query, given = manager.authentication.move_query_token(address.query or b"", found)
    opening = _opening(method, found)
    manager.host_check.check(given.get(b"host"))
    manager.origin_check.check(given)
    principal = manager.authentication.identify(given, opening.offered, client)
    deflate = manager.settings.compression and accept_deflate(opening.extensions)
    answer, subprotocol = opening.answer(deflate=deflate), chosen_of(opening.offered)
    return HandshakeResult(query, principal, deflate, answer, subprotocol)


def chosen_of(offered: Sequence[str]) -> str | None:
    """The subprotocol that is spoken: the first of those offered that the server knows."""
    return next((name for name in offered if name in (SUBPROTOCOL, CLOUDEVENTS)), None)


def not_here(path: str) -> NotFound:
    """The error of a handshake for this path."""
    return NotFound(f"no WebSocket is served at {path[:200]!r}; expected {WEBSOCKET_PATH}")


def is_shown(error: EventHubError, headers: Headers) -> bool:
    """Whether a client sees the HTTP status of a refusal.

    A web page does not: browsers show it only what comes behind a 101 response. Only browsers send
    Origin. A fault of this node is sent as a status even to them, so that a load balancer may try
    another node.
    """
    return error.status >= HTTPStatus.INTERNAL_SERVER_ERROR or not any(
        name == b"origin" for name, _ in headers
    )


def opening_of_page(
    error: EventHubError, method: str, headers: Headers
) -> tuple[bytes, str | None] | None:
    """The 101 response before an error message to a web page, and the subprotocol of that message.

    None where the status is enough.
    """
    if is_shown(error, headers):
        return None
    try:
        opening = _opening(method, headers_by_name(headers))
        return opening.answer(deflate=False), chosen_of(opening.offered)
    except InvalidRequest:
        return None


def _opening(method: str, found: Mapping[bytes, bytes]) -> HandshakeRequest:
    """Parse the handshake's headers. Raises InvalidRequest (4.2.1)."""
    if method != "GET" or found.get(b"sec-websocket-version") != b"13":
        raise InvalidRequest("expected a GET with Sec-WebSocket-Version: 13")
    key = found.get(b"sec-websocket-key", b"")
    if not is_key(key):
        raise InvalidRequest("Sec-WebSocket-Key is missing or is not 16 bytes in base64")
    offered, extensions = (
        found.get(name, b"").decode("latin-1")
        for name in (b"sec-websocket-protocol", b"sec-websocket-extensions")
    )
    names = [name.strip() for name in offered.split(",")]
    return HandshakeRequest(key, names, extensions)


def accept_of(key: bytes) -> bytes:
    """The value of Sec-WebSocket-Accept (4.2.2, 5.4)."""
    digest = hashlib.sha1(key + GUID, usedforsecurity=False).digest()
    return binascii.b2a_base64(digest, newline=False)


def is_key(key: bytes) -> bool:
    """Whether it is 16 bytes in base64."""
    try:
        return len(binascii.a2b_base64(key, strict_mode=True)) == 16
    except binascii.Error:
        return False
