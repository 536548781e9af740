"""addresses.py: one form of each address, whichever family, zone or translation it came with."""

from ipaddress import ip_address, ip_network

import pytest

from eventhub.common.addresses import address_key, canonical, networks, parse_address


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:0201", "192.0.2.1"),
        ("0:0:0:0:0:ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1%eth0", "192.0.2.1"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("fe80::1%eth0", "fe80::1"),
        ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
        ("", ""),
        ("unknown", "unknown"),
        ("a:b", "a:b"),
    ],
)
def test_an_address_has_one_form(text: str, found: str) -> None:
    assert canonical(text) == found
    assert canonical(canonical(text)) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unknown",
        "_hidden",
        "192.0.2",
        "192.0.2.1:80",
        "[::1]",
        "010.0.0.1",
        "192.0.2.1%eth0",
        "::ffff:300.0.0.1",
        "\u0661.1.1.1",
    ],
)
def test_what_is_no_address_is_none(text: str) -> None:
    assert parse_address(text) is None


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("64:ff9b::192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::1", "2001:db8:1:3::/64"),
        ("64:ff9b:1::192.0.2.1", "64:ff9b:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_ipv6_address_counts_by_its_network(address: str, counted: str) -> None:
    assert address_key(address) == counted


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("10.0.0.0/8", ["10.1.2.3"], ["11.0.0.1", "2001:db8::1"]),
        ("::ffff:10.0.0.0/104", ["10.1.2.3"], ["11.0.0.1"]),
        ("::ffff:10.1.2.3/128", ["10.1.2.3"], ["10.1.2.4"]),
        ("::ffff:0:0/96", ["10.1.2.3", "192.0.2.1"], ["2001:db8::1"]),
        ("::/0", ["10.1.2.3", "2001:db8::1"], []),
        ("2001:db8::/32", ["2001:db8::1"], ["10.1.2.3"]),
    ],
)
def test_a_network_of_mapped_addresses_is_one_of_ipv4(
    network: str, inside: list[str], outside: list[str]
) -> None:
    found = networks(ip_network(network))
    assert all(any(ip_address(address) in each for each in found) for address in inside)
    assert not any(ip_address(address) in each for each in found for address in outside)
