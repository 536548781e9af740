"""Who the client is behind proxies: X-Forwarded-For and X-Forwarded-Proto, believed only from those the configuration names."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.types import Scope

Headers = Iterable[tuple[bytes, bytes]]


class Proxies:
    """The proxies that are trusted, as networks."""

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = trusted

    def client(self, peer: str, headers: Headers) -> str:
        """The address of the client: the last one that no trusted proxy has, `peer` being who connected to us."""
        if not self.trusts(peer):
            return peer
        forwarded = b",".join(value for name, value in headers if name == b"x-forwarded-for").decode("latin-1")
        for text in reversed(forwarded.split(",")):
            address = _host(text.strip())
            if address is None:
                break  # nobody to believe beyond it
            peer = address
            if not self.trusts(peer):
                break
        return peer

    def apply(self, scope: Scope) -> None:
        """Put the client's address and scheme into an ASGI scope."""
        if not self._trusted or not scope.get("client") or not self.trusts(scope["client"][0]):
            return
        schemes = {value.decode("latin-1").strip().lower() for name, value in scope["headers"] if name == b"x-forwarded-proto"}
        if schemes <= {"https", "wss"} and schemes:
            scope["scheme"] = "wss" if scope["type"] == "websocket" else "https"
        scope["client"] = (self.client(scope["client"][0], scope["headers"]), 0)

    def trusts(self, address: str) -> bool:
        """Whether this is the address of such a proxy."""
        if not self._trusted:
            return False
        try:
            known = ip_address(address)
        except ValueError:  # a UNIX socket has none
            return False
        return any(known in network for network in self._trusted)


def _host(text: str) -> str | None:
    """An address without its port: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return None
