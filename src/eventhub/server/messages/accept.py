"""The header Accept (RFC 9110, 12.5.1): whether a reader asks for CloudEvents."""

from collections.abc import Mapping
from contextlib import suppress

from eventhub.delivery.cloudevents import BATCH_TYPE, MEDIA_TYPE

JSON = (b"application/json", b"application/x-ndjson")


def accepts_cloudevents(headers: Mapping[bytes, bytes]) -> bool:
    """Whether Accept names CloudEvents in JSON, and prefers no other JSON."""
    accept = headers.get(b"accept", b"")
    if b"cloudevents" not in accept.lower():
        return False
    wanted = dict(_ranges(accept))
    best = max(wanted.get(name, 0.0) for name in (MEDIA_TYPE, BATCH_TYPE))
    return best > 0 and best >= max(wanted.get(name, 0.0) for name in JSON)


def _ranges(accept: bytes) -> list[tuple[bytes, float]]:
    """Media types in lower case, each with its quality. One that cannot be read is 1."""
    found = []
    for part in accept.lower().split(b","):
        name, *parameters = (each.strip() for each in part.split(b";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith(b"q="):
                with suppress(ValueError):
                    quality = float(parameter[2:])
        found.append((name, quality))
    return found
