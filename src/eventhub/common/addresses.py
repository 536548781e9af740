"""Addresses of clients and proxies, in one form each: whatever is compared, counted or logged has come through here.

A socket of both families shows an IPv4 peer as `::ffff:10.1.2.3` (RFC 4291, 2.5.5.2), and a proxy with such a socket forwards that.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4-mapped addresses: those of the IPv4 Internet."""
TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 addresses behind NAT64 (RFC 6052, 2.1)."""
PREFIX = 64
"""Bits of an IPv6 address that one customer shares: what is behind them can be chosen freely (RFC
4291, 2.5.4).
"""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def parse_address(text: str) -> Address | None:
    """An address; None where it is none. A mapped one is IPv4, and a zone (`fe80::1%eth0`) is left out: it is the machine's own word."""
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv4Address):
        return found
    return found.ipv4_mapped or IPv6Address(int(found))


def canonical(text: str) -> str:
    """The one form of an address; other texts, such as the "" of a UNIX socket, stay as they are."""
    if ":" not in text:  # IPv4 from a socket
        return text
    found = parse_address(text)
    return text if found is None else str(found)


def address_key(text: str) -> str:
    """What counts as one address: an IPv4 address, also when NAT64 has translated it, and the first half of an IPv6 one."""
    if ":" not in text:
        return text
    found = parse_address(text)
    if not isinstance(found, IPv6Address):
        return text if found is None else str(found)
    if found in TRANSLATED:  # all of IPv4 would be one site
        return str(IPv4Address(int(found) & 0xFFFF_FFFF))
    return str(IPv6Network((int(found), PREFIX), strict=False))


def networks(network: Network) -> list[Network]:
    """What a network means among addresses of one form each: `::ffff:10.0.0.0/104` is 10.0.0.0/8, and `::/0` holds all of IPv4, too."""
    if isinstance(network, IPv4Network):
        return [network]
    if network.subnet_of(MAPPED):
        return [
            IPv4Network(
                (int(network.network_address) & 0xFFFF_FFFF, network.prefixlen - MAPPED.prefixlen)
            )
        ]
    return [network, IPv4Network("0.0.0.0/0")] if MAPPED.subnet_of(network) else [network]
