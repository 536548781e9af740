"""Service links: variables that Kubernetes sets in every pod for each Service.

Those of a Service named `eventhub` look like settings. With one port they are
EVENTHUB_SERVICE_HOST, EVENTHUB_SERVICE_PORT, EVENTHUB_SERVICE_PORT_HTTP, EVENTHUB_PORT,
EVENTHUB_PORT_8000_TCP, and the last one with _PROTO, _PORT and _ADDR. A Service named
`eventhub-web` has EVENTHUB_WEB_SERVICE_HOST, and so on.
"""

import re
from collections.abc import Mapping

from eventhub.common.addresses import parse_address

HOST, PORT = "_SERVICE_HOST", "_SERVICE_PORT"
_URL = re.compile(r"(?:tcp|udp|sctp)://\S+:\d+")
_SHAPES = [
    (re.compile(name), re.compile(value))
    for name, value in (
        (r"_SERVICE_HOST", r"[0-9A-Fa-f:.]+"),
        (r"_SERVICE_PORT(?:_\w+)?", r"\d+"),
        (r"_PORT(?:_\d+_(?:TCP|UDP|SCTP))?", _URL.pattern),
        (r"_PORT_\d+_(?:TCP|UDP|SCTP)_PROTO", r"tcp|udp|sctp"),
        (r"_PORT_\d+_(?:TCP|UDP|SCTP)_PORT", r"\d+"),
        (r"_PORT_\d+_(?:TCP|UDP|SCTP)_ADDR", r"[0-9A-Fa-f:.]+"),
    )
]
"""What follows the Service's name, and the form of the value. A variable with a value of any other
form was set by a person.
"""


def service_links(environment: Mapping[str, str], prefix: str) -> list[str]:
    """The variables of Services whose name begins with `prefix`.

    A Service is recognized by its HOST and PORT, which must both be set.
    """
    services = [
        name.removesuffix(HOST)
        for name, value in environment.items()
        if name.startswith(prefix)
        and name.endswith(HOST)
        and parse_address(value)
        and f"{name.removesuffix(HOST)}{PORT}" in environment
    ]
    return sorted(
        name
        for name, value in environment.items()
        if any(_belongs(name, value, service) for service in services)
    )


def looks_like_link(value: object) -> bool:
    """Whether a value has the form that only a service link has: `tcp://10.0.0.1:8000`."""
    return isinstance(value, str) and _URL.fullmatch(value) is not None


def _belongs(name: str, value: str, service: str) -> bool:
    rest = name.removeprefix(service)
    return rest != name and any(
        shape.fullmatch(rest) and known.fullmatch(value) for shape, known in _SHAPES
    )
