"""By which names this server may be called, where only the address it listens on protects it.

Without authentication on a loopback address, whoever can connect may do everything; a browser on this machine can, for any page it shows.
A page of http://evil.example:8000 whose name is made to resolve to 127.0.0.1 (DNS rebinding) is then of our own origin, as its Origin and
its Host agree. Its name gives it away: an address cannot be rebound, and nobody can register a name below localhost (RFC 6761, 6.3).
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
        """Any name will do."""
        self._listed = Origins(settings.origins)
        self._good: set[bytes] = set()

    def check(self, host: bytes | None) -> None:
        """Raises MisdirectedRequest. Whoever sends no host is no browser."""
        if self.open or not host or host in self._good:
            return
        name = _name(host.decode("latin-1"))
        if not (_is_local(name) or _is_address(name) or self._listed.hold_host(name)):
            raise MisdirectedRequest(
                f"the request is for the host {name[:200]!r}; without `auth` this server answers to localhost, to addresses but "
                f"0.0.0.0 and to the hosts of `origins` in the configuration, such as https://{name[:200]}"
            )
        if len(self._good) < REMEMBERED:
            self._good.add(host)


def _name(host: str) -> str:
    """Without the port: `localhost:8000`, `[::1]:8000`."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return name.lower().removesuffix(".")


def _is_local(name: str) -> bool:
    return name == "localhost" or name.endswith(".localhost")


def _is_address(name: str) -> bool:
    """That of some machine, as others write it.

    0.0.0.0 and [::ffff:127.0.0.1] lead here, too, but are not loopback to a browser: it would not say that a page elsewhere embeds what
    it asks for (Fetch Metadata, 2).
    """
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return not address.is_unspecified and getattr(address, "ipv4_mapped", None) is None
