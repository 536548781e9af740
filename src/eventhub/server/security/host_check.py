"""Refuses DNS rebinding where a loopback address is the server's only protection.

Without authentication on a loopback address, every client on the machine may do everything. A
browser is such a client, for any page that it shows. If an attacker lets evil.example resolve to
127.0.0.1, the page of http://evil.example:8000 has our own origin, because its Origin and Host
agree. The name in Host reveals the attack: an address cannot be rebound, and nobody can register a
name below localhost (RFC 6761, 6.3).
"""

from ipaddress import ip_address

from eventhub.common.origin import Origins
from eventhub.config.settings import Settings
from eventhub.errors import MisdirectedRequest

REMEMBERED = 100


class HostCheck:
    """The check of the Host header (RFC 9110, 7.2)."""

    def __init__(self, settings: Settings) -> None:
        self.open = settings.auth.configured or not settings.loopback or "*" in settings.origins
        """Every host name is accepted."""
        self._listed = Origins(settings.origins)
        self._good: set[bytes] = set()

    def check(self, host: bytes | None) -> None:
        """Raise MisdirectedRequest for a foreign host name. Browsers always send a Host."""
        if self.open or not host or host in self._good:
            return
        name = _name(host.decode("latin-1"))
        if not (_is_local(name) or _is_address(name) or self._listed.hold_host(name)):
            raise MisdirectedRequest(
                f"the request is for the host {name[:200]!r}; without `auth` this server answers "
                "to localhost, to addresses but 0.0.0.0 and to the hosts of `origins` in the "
                f"configuration, such as https://{name[:200]}"
            )
        if len(self._good) < REMEMBERED:
            self._good.add(host)


def _name(host: str) -> str:
    """Return the host without its port: `localhost:8000`, `[::1]:8000`."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower().removesuffix(".")


def _is_local(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def _is_address(name: str) -> bool:
    """Return whether the name is an address that browsers protect from other sites.

    They do not protect 0.0.0.0 and [::ffff:127.0.0.1]. These reach this machine, too, but a browser
    does not treat them as loopback, and does not send the headers that show an embedded request
    (Fetch Metadata, 2).
    """
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return not address.is_unspecified and getattr(address, "ipv4_mapped", None) is None
