"""Origins of web pages (RFC 6454): those that browsers send, and those that settings list."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple

ANY = "*"
OPAQUE = "null"
"""Sent for a page that was opened from a file, and for a sandboxed frame of any page."""
DEFAULT_PORTS = {"http": 80, "https": 443}
_ORIGIN = re.compile(
    r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]*)(?::([0-9]{1,5}))?", re.ASCII
)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s/?#@:\[\]]+)(?::([0-9]{1,5}))?", re.ASCII)
_LABELS = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.ASCII)


class Origin(NamedTuple):
    """Scheme, host and port in one form for comparing. The port is None if the scheme has none."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        port = (
            ""
            if self.port is None or self.port == DEFAULT_PORTS.get(self.scheme)
            else f":{self.port}"
        )
        return f"{self.scheme}://{self.host}{port}"

    @property
    def web(self) -> bool:
        """Whether its pages come over HTTP."""
        return self.scheme in DEFAULT_PORTS


def parse_origin(text: str) -> Origin | None:
    """The origin in a header `Origin`; None without a scheme and a host, such as for `null`."""
    if (found := _ORIGIN.fullmatch(text.lower())) is None:
        return None
    scheme, name, port = found.groups()
    host = _canonical(name)
    if not host and scheme != "file":
        return None
    return Origin(scheme, host, int(port) if port else DEFAULT_PORTS.get(scheme))


def is_of_host(origin: Origin, host: str) -> bool:
    """Whether an origin is that of the header `Host`.

    A missing port means the scheme's default port (RFC 9110, 4.2.3).
    """
    if not origin.web or (found := _HOST.fullmatch(host.lower())) is None:
        return False
    name, port = found.groups()
    return (_canonical(name), int(port) if port else DEFAULT_PORTS[origin.scheme]) == (
        origin.host,
        origin.port,
    )


def check_pattern(value: object) -> str:
    """An item of `origins` in the form that browsers send. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("expected a text such as https://app.example")
    if value in (ANY, OPAQUE):
        return value
    origin = parse_origin(value)
    if origin is None:
        raise ValueError(f"{value[:200]!r} is no origin; expected {_suggestion(value)}")
    name = origin.host
    if (
        name.startswith("[")
        or not name
        or (name == ANY and not origin.web)
        or _LABELS.fullmatch(name)
    ):
        return str(origin)
    if not name.isascii():
        raise ValueError(
            f"{value[:200]!r} is not in ASCII; expected the name as browsers send it, such as "
            "https://xn--bcher-kva.example"
        )
    raise ValueError(
        f"{value[:200]!r} has a * that browsers' origins cannot be compared with; expected it as "
        "the first of several names, as in https://*.example.com, as the whole host of a scheme "
        "that is not http(s), as in moz-extension://*, or alone, for every origin"
    )


class Origins:
    """The origins that the settings list.

    `https://*.example.com` covers all names below example.com, and not example.com itself.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        """`patterns` as `check_pattern` returns them."""
        found = set(patterns)
        self.empty = not found
        self.any = ANY in found
        self._opaque = OPAQUE in found
        parsed = [origin for pattern in found if (origin := parse_origin(pattern)) is not None]
        self._exact = {origin for origin in parsed if not origin.host.startswith(ANY)}
        self._below = [
            Origin(scheme, host[1:], port) for scheme, host, port in parsed if host.startswith(ANY)
        ]

    def cover(self, text: str) -> bool:
        """Whether a page that sends this `Origin` has the rights of the server's own pages."""
        return self.any or self.name(text) or (self._opaque and text == OPAQUE)

    def name(self, text: str) -> bool:
        """Whether it is listed by name, and not through `*` or `null`."""
        if (origin := parse_origin(text)) is None:
            return False
        return origin in self._exact or any(
            (origin.scheme, origin.port) == (scheme, port)
            and origin.host.endswith(suffix)
            and len(origin.host) > len(suffix)
            for scheme, suffix, port in self._below
        )

    def hold_host(self, name: str) -> bool:
        """Whether pages of this host, in lower case, are listed on any port."""
        return any(origin.web and origin.host == name for origin in self._exact) or any(
            origin.web and name.endswith(origin.host) for origin in self._below
        )


def _canonical(host: str) -> str:
    """A host name without the final dot, or an IPv6 address in brackets, in one form."""
    if host.startswith("["):
        try:
            return f"[{ip_address(host[1:-1]).compressed}]"
        except ValueError:
            return host
    return host.removesuffix(".")


def _suggestion(value: str) -> str:
    """The origin that a malformed item probably means, or the expected form."""
    for guess in (value.rstrip("/"), f"https://{value}", "/".join(value.split("/")[:3])):
        if (origin := parse_origin(guess)) is not None and _LABELS.fullmatch(origin.host):
            return f"{origin}, as browsers send it: scheme, host and port alone"
    return "scheme, host and perhaps a port, such as https://app.example"
