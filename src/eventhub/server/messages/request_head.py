"""The rules for a request's head: version, fields that may come once, framing, Upgrade. No I/O.

The parser checks the grammar; these rules come after it (RFC 9110, RFC 9112).
"""

import re
from collections.abc import Sequence

from eventhub.errors import InvalidRequest

Headers = Sequence[tuple[bytes, bytes]]

VERSIONS = ("1.1", "1.0")
SPACE = b" \t"
"""Optional white space around a value (RFC 9110, 5.5)."""
SINGLE = {
    name.lower().encode(): name
    for name in (
        "Authorization", "ce-id", "ce-source", "ce-subject", "ce-time", "ce-type",
        "Content-Length", "Content-Type", "Host", "Idempotency-Key", "Last-Event-ID", "Origin",
        "Sec-Fetch-Dest", "Sec-Fetch-Site", "Sec-WebSocket-Key", "Sec-WebSocket-Version",
        "Transfer-Encoding",
    )
}  # fmt: skip
"""Fields that may come once. Of two, a proxy may have checked the one that we do not use."""
UPGRADE = (b"upgrade", b"http2-settings")
"""Fields that ask for another protocol (RFC 9110, 7.8; RFC 7540, 3.2.1)."""
MAX_PARAMETERS = 256
"""Parameters of a query string: one for each channel, and a few more."""
MAX_ENCODED = 4096
"""Percent-encoded bytes of an address: enough for a cursor of 128 channels, and names in UTF-8."""
_BARE_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def check(version: str, headers: Headers) -> None:
    """Raise InvalidRequest for a head, or a body's framing, that has two meanings."""
    if version not in VERSIONS:
        raise InvalidRequest(f"the request is HTTP/{version}; expected HTTP/1.1 or HTTP/1.0")
    fields = dict(headers)
    if len(fields) != len(headers):
        check_single(headers)
    if version == "1.1" and b"host" not in fields:
        raise InvalidRequest(
            "the request is HTTP/1.1 and has no header Host; expected one (RFC 9112, 3.2)"
        )
    coding = fields.get(b"transfer-encoding")
    if coding is None:
        return
    # RFC 9112, 6.1 suggests 501. Clients retry on that, and it would not help.
    if coding.lower() != b"chunked":
        raise InvalidRequest(
            f"Transfer-Encoding is {coding[:40].decode('latin-1')!r}; "
            "expected chunked and nothing else"
        )
    if version == "1.0":
        raise InvalidRequest(
            "the request is HTTP/1.0 and has a Transfer-Encoding; "
            "expected Content-Length (RFC 9112, 6.1)"
        )


def check_encoding(address: bytes) -> None:
    """Raise InvalidRequest for a % without two hexadecimal digits (RFC 3986, 2.1), or too many.

    `urllib` would keep a bare %, but takes 9 ms of CPU time for 32 KB of nothing else. It takes
    2 ms to decode 32 KB of %20.
    """
    if not (count := address.count(b"%")):
        return
    if count > MAX_ENCODED:
        raise InvalidRequest(
            f"the address has {count} percent-encoded bytes; expected {MAX_ENCODED} at most"
        )
    if _BARE_PERCENT.search(address):
        raise InvalidRequest(
            "the address has a % without two hexadecimal digits; expected %25 for a % itself"
        )


def check_query(query: bytes) -> None:
    """Raise InvalidRequest for too many parameters or a bare %, before the query is parsed."""
    check_encoding(query)
    if query.count(b"&") >= MAX_PARAMETERS:
        raise InvalidRequest(
            f"the query string has more than {MAX_PARAMETERS} parameters, which is the limit"
        )


def check_single(headers: Headers) -> None:
    """Raise InvalidRequest for a repeated field of SINGLE."""
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in SINGLE:
            raise InvalidRequest(f"more than one header {SINGLE[name]} was sent; expected one")
        seen.add(name)


def headers_by_name(headers: Headers) -> dict[bytes, bytes]:
    """Values by name. A repeated field's values are joined with commas (RFC 9110, 5.3)."""
    found = dict(headers)
    if len(found) != len(headers):
        found = {}
        for name, value in headers:
            found[name] = found[name] + b", " + value if name in found else value
    return found


def stripped(headers: Headers) -> list[tuple[bytes, bytes]]:
    """The fields without white space around their values."""
    return [(name, value.strip(SPACE)) for name, value in headers]


def has_body(headers: Headers) -> bool:
    """A body follows the head."""
    fields = dict(headers)
    return b"transfer-encoding" in fields or int(fields.get(b"content-length", b"0")) > 0


def wants_websocket(method: bytes, version: str, headers: Headers) -> bool:
    """Whether it opens a WebSocket (RFC 6455, 4.1). Any other Upgrade is declined."""
    if method != b"GET" or version == "1.0":  # HTTP/1.0 has no Upgrade (RFC 9110, 7.8)
        return False
    return b"websocket" in {
        token.strip(SPACE).lower()
        for token in headers_by_name(headers).get(b"upgrade", b"").split(b",")
    }


def without_upgrade(method: bytes, url: bytes, version: str, headers: Headers) -> bytes:
    """The head without its Upgrade, to be parsed again: the parser cannot decline one."""
    lines = [b"%b %b HTTP/%b\r\n" % (method, url, version.encode())]
    lines += [b"%b: %b\r\n" % field for field in headers if field[0] not in UPGRADE]
    return b"".join(lines) + b"\r\n"
