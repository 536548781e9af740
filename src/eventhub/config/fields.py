"""Types of settings: what a value must look like, and the error that says so."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field

from eventhub.auth.grants import PATTERNS
from eventhub.common.addresses import parse_address
from eventhub.common.channel_pattern import check_pattern
from eventhub.common.origin import check_pattern as check_origin_pattern
from eventhub.events.channel_types import JOURNAL_TYPE, SCHEMAS_TYPE
from eventhub.events.keys import KeySource
from eventhub.events.refused_event import REFUSED_PREFIX
from eventhub.events.since import parse_age


def _milliseconds(value: Any) -> Any:
    if isinstance(value, str):
        return parse_age(value)
    raise ValueError("an age needs a unit: ms, s, m, h or d, such as '24h'")


OriginPattern = Annotated[
    str,
    BeforeValidator(
        check_origin_pattern,
        json_schema_input_type=Annotated[
            str, Field(pattern=r"^(\*|null|[A-Za-z][A-Za-z0-9+.-]*://[^/\s]*)$")
        ],
    ),
]


def _host(value: Any) -> Any:
    """An address or a name, without anything else."""
    if not isinstance(value, str) or parse_address(value) is not None or _HOST.fullmatch(value):
        return value
    if "/" in value or value.startswith("unix:"):
        raise ValueError(
            "is no address; it listens on TCP alone, on an address such as 127.0.0.1 or 0.0.0.0, "
            "without a scheme or a path"
        )
    _, colon, port = value.rpartition(":")
    if colon and port.isdecimal():
        raise ValueError(
            "holds a port; expected the address alone, and the port apart "
            f"(port, --port {port}, EVENTHUB_PORT)"
        )
    if value.startswith("["):
        raise ValueError("stands in brackets; expected the address alone, such as ::1")
    raise ValueError("is neither an address such as 127.0.0.1 or ::1 nor the name of a host")


def _network(value: Any) -> Any:
    """An address or a network.

    pydantic would refuse a name or * as "not a valid IPv6 network".
    """
    if not isinstance(value, str):
        return value
    try:
        return ip_network(value)
    except ValueError:
        pass
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        every = (
            "; 0.0.0.0/0 and ::/0 trust every peer, which can then claim any address"
            if value == "*"
            else ""
        )
        raise ValueError(
            f"expected the address of a proxy or a network, such as 10.0.0.7 or 10.0.0.0/8{every}"
        ) from None
    raise ValueError(
        f"has bits set beyond its prefix; expected {network}, or one address without a prefix"
    )


_HOST = re.compile(r"|(?!.*\.[0-9]+\.?$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
"""A host name (RFC 1123, 2.1), which does not end like an IPv4 address. Empty: every address."""
Host = Annotated[str, BeforeValidator(_host)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]


def _not_reserved(name: str) -> str:
    if name in (JOURNAL_TYPE, SCHEMAS_TYPE) or name.startswith(REFUSED_PREFIX):
        raise ValueError(f"{name} is the name of a type of the server's own; expected another one")
    return name


TypeName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$"), AfterValidator(_not_reserved)]
Milliseconds = Annotated[
    int, Field(gt=0), BeforeValidator(_milliseconds, json_schema_input_type=str)
]


def check_key(text: str) -> str:
    """The text, if it names a key. Raises ValueError."""
    return KeySource(text).text


def split_commas(value: Any) -> Any:
    """A list from one value, or from several separated by commas, as variables have them."""
    if not isinstance(value, str):
        return value
    if value.startswith("["):
        return json.loads(value)
    return [part.strip() for part in value.split(",")]


def _moment(value: Any) -> Any:
    """A date means its first moment, in UTC."""
    if isinstance(value, str) and len(value) == len("2027-01-31"):
        value = date.fromisoformat(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time.min, UTC)
    return value


Pattern = Annotated[str, BeforeValidator(check_pattern, json_schema_input_type=str)]
Patterns = Annotated[list[Pattern], BeforeValidator(split_commas), Field(max_length=PATTERNS)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment, json_schema_input_type=str)]


def require_mapping(value: Any) -> Any:
    """Raise ValueError for a scalar or a list where a section is expected."""
    if not isinstance(value, (Mapping, BaseModel)):
        example = value if isinstance(value, str) else "chat"
        raise ValueError(f"expected keys such as payload, as in {{payload: {example}}}")
    return value
