"""Idempotency keys: the rules that all brokers share."""

from hashlib import blake2b

from eventhub.events.event import DELETED, REFERS, RELATION, NewEvent

KEY_AGE = 600_000
"""Milliseconds for which a key is known."""


def data_digest(data: bytes) -> bytes:
    """16 bytes that tell whether two events with the same key have the same data."""
    return blake2b(data, digest_size=16).digest()


def event_digest(event: NewEvent) -> bytes:
    """As `data_digest`, for an event, which may refer to another, or the deletion of a key."""
    if event.attributes and (target := event.attributes.get(REFERS)) is not None:
        return data_digest(f"{event.attributes.get(RELATION)} {target} ".encode() + event.data)
    if event.attributes and (deleted := event.attributes.get(DELETED)) is not None:
        return data_digest(b"deleted " + deleted.encode())
    return data_digest(event.data)
