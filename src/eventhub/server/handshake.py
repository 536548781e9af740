"""The opening handshake of a WebSocket, RFC 6455 chapter 4, without I/O."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import unquote

import httptools
import orjson

from eventhub.auth.principal import Principal
from eventhub.errors import EventHubError, InvalidRequest, NotFound
from eventhub.server.frames import accept_deflate
from eventhub.server.gateway import PATH, SUBPROTOCOL, Gateway
from eventhub.server.guard import fields
from eventhub.server.headers import ALWAYS

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEFLATE = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

Headers = Sequence[tuple[bytes, bytes]]


class Agreement(NamedTuple):
    """What both sides agreed on, and the bytes that say so."""

    query: bytes
    principal: Principal
    deflate: bool
    answer: bytes


def agree(gateway: Gateway, method: str, url: bytes, headers: Headers, client: str = "") -> Agreement:
    """Answer an upgrade request of the client at this address. Raises EventHubError, UnknownKey."""
    try:
        address = httptools.parse_url(url)
    except httptools.HttpParserError:
        raise InvalidRequest("the address is not a URL") from None
    path = unquote((address.path or b"/").decode("latin-1"))
    if path != PATH:
        raise NotFound(f"no WebSocket is served at {path[:200]!r}; expected {PATH}")
    query, given = gateway.guard.lift(address.query or b"", fields(headers))
    found = _joined(headers)
    if method != "GET" or found.get(b"sec-websocket-version") != "13":
        raise InvalidRequest("expected a GET with Sec-WebSocket-Version: 13")
    key = found.get(b"sec-websocket-key", "")
    if not _is_key(key):
        raise InvalidRequest("Sec-WebSocket-Key is missing or is not 16 bytes in base64")
    gateway.hosts.check(given.get(b"host"))
    gateway.check_origin(given)
    offered = [name.strip() for name in found.get(b"sec-websocket-protocol", "").split(",")]
    principal = gateway.guard.identify(given, offered, client)
    deflate = gateway.settings.compression and accept_deflate(found.get(b"sec-websocket-extensions", ""))
    lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {_accept(key)}",
        *([f"Sec-WebSocket-Protocol: {SUBPROTOCOL}"] if SUBPROTOCOL in offered else []),
        *([f"Sec-WebSocket-Extensions: {DEFLATE}"] if deflate else []),
    ]
    return Agreement(query, principal, deflate, ("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))


def refusal(error: EventHubError) -> bytes:
    """A response that is not 101."""
    body = orjson.dumps(error.as_problem())
    lines = [
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name.decode()}: {value.decode()}" for name, value in ALWAYS),
        *(f"{name.title()}: {value}" for name, value in error.headers.items()),
        *(["Sec-WebSocket-Version: 13"] if isinstance(error, InvalidRequest) else []),  # 4.4
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii") + body


def _joined(headers: Headers) -> dict[bytes, str]:
    """Values by name; those of a repeated header joined (RFC 9110, 5.3)."""
    found: dict[bytes, str] = {}
    for name, value in headers:
        text = value.decode("latin-1").strip()
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _accept(key: str) -> str:
    return base64.b64encode(hashlib.sha1(key.encode() + GUID, usedforsecurity=False).digest()).decode()


def _is_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False
