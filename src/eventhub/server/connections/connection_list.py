"""What operators see of each open connection of a node."""

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Any

import orjson

from eventhub.events.event import format_time
from eventhub.server.connections.identity import ConnectionIdentity

CHANNELS = 10
"""Channels shown of one connection."""


def slowest_connections(
    identities: Iterable[ConnectionIdentity], limit: int, most_bytes: int
) -> Iterator[dict[str, Any]]:
    """Yield `limit` connections and `most_bytes` of JSON at most, the slowest readers first."""
    slowest = sorted(identities, key=attrgetter("buffered"), reverse=True)[:limit]
    room = most_bytes
    for identity in slowest:
        row = _row(identity)
        room -= len(orjson.dumps(row))
        if room < 0:
            return
        yield row


def buffered_bytes(row: dict[str, Any]) -> int:
    """Return the bytes that wait to be sent; 0 if a node of another version does not say."""
    found = row.get("buffered")
    return found if isinstance(found, int) else 0


def _row(identity: ConnectionIdentity) -> dict[str, Any]:
    principal, session = identity.principal, identity.session
    channels = session.channels if session is not None else []
    return {
        "session": identity.id,
        "transport": identity.connection.transport if identity.connection is not None else None,
        "address": identity.address,
        "opened": format_time(identity.opened),
        "buffered": identity.buffered,
        "principal": {"kind": principal.kind, "name": principal.name, "token": principal.token},
        "expires": format_time(principal.expires) if principal.expires is not None else None,
        "channels": channels[:CHANNELS],
        "subscriptions": len(channels),
    }
