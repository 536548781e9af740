"""Addresses of clients and proxies, each in one form for comparing, counting and logging.

A dual-stack socket shows an IPv4 peer as `::ffff:10.1.2.3` (RFC 4291, 2.5.5.2), and a proxy with
such a socket forwards that form.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4-mapped addresses."""
TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 addresses behind NAT64 (RFC 6052, 2.1)."""
PREFIX = 64
"""Bits of an IPv6 address that belong to one customer, who chooses the other bits (RFC 4291,
2.5.4).
"""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def parse_address(text: str) -> Address | None:
    """The address in a text, or None.

    A mapped address becomes IPv4. A zone (`fe80::1%eth0`) is left out: only the local machine knows
    it.
    """
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv4Address):
        return found
    return found.ipv4_mapped or IPv6Address(int(found))


def canonical(text: str) -> str:
    """An address in its one form. Other texts stay as they are, such as "" of a UNIX socket."""
    if ":" not in text:  # IPv4 from a socket
        return text
    found = parse_address(text)
    return text if found is None else str(found)


def address_key(text: str) -> str:
    """The key under which an address is counted.

    It is an IPv4 address, also behind NAT64, or the first half of an IPv6 address.
    """
    if ":" not in text:
        return text
    found = parse_address(text)
    if not isinstance(found, IPv6Address):
        return text if found is None else str(found)
    if found in TRANSLATED:  # otherwise all of IPv4 would have one key
        return str(IPv4Address(int(found) & 0xFFFF_FFFF))
    return str(IPv6Network((int(found), PREFIX), strict=False))


def networks(network: Network) -> list[Network]:
    """The networks that a network means for addresses in their one form.

    `::ffff:10.0.0.0/104` is 10.0.0.0/8, and `::/0` also holds all of IPv4.
    """
    if isinstance(network, IPv4Network):
        return [network]
    if network.subnet_of(MAPPED):
        return [
            IPv4Network(
                (int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - MAPPED.prefixlen)
            )
        ]
    return [network, IPv4Network("0.0.0.0/0")] if MAPPED.subnet_of(network) else [network]
