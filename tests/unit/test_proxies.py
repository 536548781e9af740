"""server/proxies.py: whose word is taken for who the client is."""

from ipaddress import ip_network
from typing import Any

import pytest

from eventhub.server.proxies import Proxies

TRUSTED = Proxies([ip_network("10.0.0.0/8"), ip_network("::1/128")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"198.51.100.7, 10.2.3.4"], "198.51.100.7"),
        ("10.0.0.1", [b"198.51.100.7", b"10.2.3.4"], "198.51.100.7"),
        ("10.0.0.1", [b"192.0.2.66, 198.51.100.7"], "198.51.100.7"),  # the first is what the client said of itself
        ("10.0.0.1", [b"10.2.3.4"], "10.2.3.4"),
        ("10.0.0.1", [b"198.51.100.7:4711"], "198.51.100.7"),
        ("::1", [b"[2001:db8::7]:4711"], "2001:db8::7"),
        ("::1", [b"2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7, <script>"], "10.0.0.1"),
        ("192.0.2.1", [b"198.51.100.7"], "192.0.2.1"),  # a stranger's word
        ("", [b"198.51.100.7"], ""),
    ],
)
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(peer: str, forwarded: list[bytes], client: str) -> None:
    assert TRUSTED.client(peer, [(b"x-forwarded-for", value) for value in forwarded]) == client
    assert Proxies([]).client(peer, [(b"x-forwarded-for", value) for value in forwarded]) == peer


@pytest.mark.parametrize(
    ("kind", "peer", "proto", "scheme"),
    [
        ("http", "10.0.0.1", b"https", "https"),
        ("websocket", "10.0.0.1", b"https", "wss"),
        ("http", "10.0.0.1", b"gopher", "http"),
        ("http", "192.0.2.1", b"https", "http"),
    ],
)
def test_a_scope_gets_the_clients_scheme_and_address(kind: str, peer: str, proto: bytes, scheme: str) -> None:
    headers = [(b"x-forwarded-for", b"198.51.100.7"), (b"x-forwarded-proto", proto)]
    scope: dict[str, Any] = {"type": kind, "scheme": "http", "client": (peer, 4711), "headers": headers}
    TRUSTED.apply(scope)
    assert scope["scheme"] == scheme
    assert scope["client"][0] == ("198.51.100.7" if peer == "10.0.0.1" else peer)


def test_a_scope_without_a_client_stays_as_it_is() -> None:
    scope: dict[str, Any] = {"type": "http", "scheme": "http", "client": None, "headers": []}
    TRUSTED.apply(scope)
    assert scope["client"] is None
