"""server/security/forwarded.py: whose word is taken for who the client is."""

from ipaddress import ip_network
from typing import Any

import pytest

from eventhub.common.addresses import canonical
from eventhub.server.security.forwarded import ForwardedAddresses

TRUSTED = ForwardedAddresses([ip_network("10.0.0.0/8"), ip_network("::1/128")])


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", [b"198.51.100.7"], "198.51.100.7"),
        ("10.0.0.1", [b"198.51.100.7, 10.2.3.4"], "198.51.100.7"),
        ("10.0.0.1", [b"198.51.100.7", b"10.2.3.4"], "198.51.100.7"),
        (
            "10.0.0.1",
            [b"192.0.2.66, 198.51.100.7"],
            "198.51.100.7",
        ),  # the first is what the client said of itself
        ("10.0.0.1", [b"10.2.3.4"], "10.2.3.4"),
        ("10.0.0.1", [b"198.51.100.7:4711"], "198.51.100.7"),
        ("::1", [b"[2001:db8::7]:4711"], "2001:db8::7"),
        ("::1", [b"2001:db8::7"], "2001:db8::7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [b""], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7, <script>"], "10.0.0.1"),
        ("192.0.2.1", [b"198.51.100.7"], "192.0.2.1"),  # a stranger's word
        ("", [b"198.51.100.7"], ""),
        ("10.0.0.1", [b"203.0.113.9, ::ffff:10.1.2.3"], "203.0.113.9"),
        ("::ffff:10.0.0.1", [b"203.0.113.9, ::FFFF:0a01:0203"], "203.0.113.9"),
        ("::ffff:10.0.0.1", [b"::ffff:203.0.113.9"], "203.0.113.9"),
        ("::ffff:10.0.0.1", [b"[::ffff:203.0.113.9]:443, [::ffff:10.1.2.3]:443"], "203.0.113.9"),
        ("::1", [b"2001:DB8::7"], "2001:db8::7"),
        ("::1%lo", [b"fe80::7%eth0"], "fe80::7"),
        ("10.0.0.1", [b"198.51.100.7, , 10.2.3.4,"], "198.51.100.7"),
        ("10.0.0.1", [b"198.51.100.7", b""], "198.51.100.7"),
        ("10.0.0.1", [b"198.51.100.7\t,\t10.2.3.4"], "198.51.100.7"),
        ("10.0.0.1", [b"198.51.100.7, unknown, 10.2.3.4"], "10.2.3.4"),
        ("10.0.0.1", [b"198.51.100.7, _hidden"], "10.0.0.1"),
        ("10.0.0.1", [b"198.51.100.7:port"], "10.0.0.1"),
        ("10.0.0.1", [b"[2001:db8::7]evil"], "10.0.0.1"),
        ("10.0.0.1", [b"[2001:db8::7"], "10.0.0.1"),
    ],
)
def test_the_client_is_the_last_address_that_no_trusted_proxy_has(
    peer: str, forwarded: list[bytes], client: str
) -> None:
    assert TRUSTED.client(peer, [(b"x-forwarded-for", value) for value in forwarded]) == client
    assert ForwardedAddresses([]).client(
        peer, [(b"x-forwarded-for", value) for value in forwarded]
    ) == canonical(peer)


def test_forwarded_is_not_read() -> None:
    """RFC 7239: whoever sets X-Forwarded-For may pass a client's own Forwarded on."""
    assert TRUSTED.client("10.0.0.1", [(b"forwarded", b"for=198.51.100.7")]) == "10.0.0.1"


@pytest.mark.parametrize(
    ("kind", "peer", "proto", "scheme"),
    [
        ("http", "10.0.0.1", b"https", "https"),
        ("websocket", "10.0.0.1", b"https", "wss"),
        ("http", "::ffff:10.0.0.1", b"HTTPS", "https"),
        ("http", "10.0.0.1", b"https, https", "https"),
        ("http", "10.0.0.1", b"https, http", "http"),
        ("http", "10.0.0.1", b"gopher", "http"),
        ("http", "192.0.2.1", b"https", "http"),
    ],
)
def test_a_scope_gets_the_clients_scheme_and_address(
    kind: str, peer: str, proto: bytes, scheme: str
) -> None:
    headers = [(b"x-forwarded-for", b"198.51.100.7"), (b"x-forwarded-proto", proto)]
    scope: dict[str, Any] = {
        "type": kind,
        "scheme": "http",
        "client": (peer, 4711),
        "headers": headers,
    }
    TRUSTED.apply(scope)
    assert scope["scheme"] == scheme
    assert scope["client"][0] == ("198.51.100.7" if peer.endswith("10.0.0.1") else peer)


def test_a_scope_without_a_client_stays_as_it_is() -> None:
    scope: dict[str, Any] = {"type": "http", "scheme": "http", "client": None, "headers": []}
    TRUSTED.apply(scope)
    assert scope["client"] is None


def test_a_mapped_client_has_its_ipv4_address_in_a_scope_without_proxies_too() -> None:
    scope: dict[str, Any] = {
        "type": "http",
        "scheme": "http",
        "client": ("::ffff:192.0.2.1", 4711),
        "headers": [],
    }
    ForwardedAddresses([]).apply(scope)
    assert scope["client"] == ("192.0.2.1", 4711)
