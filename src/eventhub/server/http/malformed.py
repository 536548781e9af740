"""The error for a client whose bytes are not HTTP/1.1."""

from typing import Any

import httptools

from eventhub.errors import InvalidRequest
from eventhub.server.http.head import IncomingHead

TLS = b"\x16\x03"
"""The first bytes of a TLS connection: a handshake record of version 3 (RFC 8446, 5.1)."""


def malformed(
    error: httptools.HttpParserError, data: bytes, parser: Any, head: IncomingHead, *, in_body: bool
) -> InvalidRequest:
    """The error for `data`, which the parser did not understand."""
    if in_body:
        return InvalidRequest(f"the framing of the body is malformed: {error}")
    if parser.get_method() == b"PRI":
        return InvalidRequest("this is the preface of HTTP/2; expected HTTP/1.1")
    if head.url and not head.complete:
        return InvalidRequest(
            f"the head of the request is malformed: {error}; expected HTTP/1.1 (RFC 9112)"
        )
    if data.startswith(TLS):
        return InvalidRequest(
            "this is the beginning of TLS, and this port does not speak it; "
            "expected http:// or ws://"
        )
    return InvalidRequest(f"this is not an HTTP request: {error}; expected HTTP/1.1")
