"""Idempotency keys: the rules that all brokers share."""

from hashlib import blake2b

KEY_AGE = 600_000
"""Milliseconds for which a key is known."""


def data_digest(data: bytes) -> bytes:
    """16 bytes that tell whether two events with the same key have the same data."""
    return blake2b(data, digest_size=16).digest()
