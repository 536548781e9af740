"""Finds the client behind proxies: X-Forwarded-For and X-Forwarded-Proto of trusted proxies."""

import re
from collections.abc import Iterable, Sequence

from starlette.types import Scope

from eventhub.common.addresses import Network, canonical, networks, parse_address

Headers = Iterable[tuple[bytes, bytes]]
_PORT = re.compile(r"(?:\[([^]]*)\]|([^:]*))(?::[0-9]*)?")
"""An address with or without a port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. IPv6 without brackets
does not match.
"""


class ForwardedAddresses:
    """Reads forwarded addresses. `trusted` are the networks of trusted proxies."""

    def __init__(self, trusted: Sequence[Network]) -> None:
        self._trusted = [found for network in trusted for found in networks(network)]

    def client(self, peer: str, headers: Headers) -> str:
        """Return the client's address: the last forwarded one that is no trusted proxy's.

        `peer` is the address of the connection. Where an entry is no address (`unknown`,
        `_hidden`), the search ends and the trusted proxy after it counts as the client.
        """
        peer = canonical(peer)
        if not self.trusts(peer):
            return peer
        forwarded = b",".join(
            value for name, value in headers if name == b"x-forwarded-for"
        ).decode("latin-1")
        for text in reversed(forwarded.split(",")):
            if not (text := text.strip()):
                continue  # an element of a list may be empty (RFC 9110, 5.6.1)
            address = _host(text)
            if address is None:
                break  # entries before it cannot be trusted
            peer = address
            if not self.trusts(peer):
                break
        return peer

    def apply(self, scope: Scope) -> None:
        """Set the client's address and scheme in an ASGI scope."""
        if not scope.get("client"):
            return
        peer, port = canonical(scope["client"][0]), scope["client"][1]
        scope["client"] = (peer, port)
        if not self.trusts(peer):
            return
        forwarded = b",".join(
            value for name, value in scope["headers"] if name == b"x-forwarded-proto"
        ).decode("latin-1")
        schemes = {text.strip().lower() for text in forwarded.split(",")} - {""}
        if schemes <= {"https", "wss"} and schemes:
            scope["scheme"] = "wss" if scope["type"] == "websocket" else "https"
        scope["client"] = (self.client(peer, scope["headers"]), 0)

    def trusts(self, address: str) -> bool:
        """Return whether this is the address of a trusted proxy."""
        if not self._trusted:
            return False
        known = parse_address(address)  # a UNIX socket has none
        return known is not None and any(known in network for network in self._trusted)


def _host(text: str) -> str | None:
    """Return an address without its port, or None if it is no address."""
    found = _PORT.fullmatch(text)
    address = parse_address(text if found is None else found[1] or found[2] or "")
    return None if address is None else str(address)
