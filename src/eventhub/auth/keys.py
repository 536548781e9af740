"""API keys: 256 random bits each, of which the configuration holds a hash.

A key is random and long, so that SHA-256 without salt or stretching is as good a hash as any: there is nothing to guess or to precompute.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from eventhub.auth.principal import CredentialKind, Principal
from eventhub.errors import InvalidToken

PREFIX = "ehk_"
"""How every key begins, so that people and secret scanners know one when they see it."""
HASH = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's hash (`sha256:…`) and its holder."""

    hash: str
    principal: Principal


def new_key() -> str:
    """A new key. It is shown once and stored nowhere."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_key(key: str) -> str:
    """What the configuration holds of a key."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


class KeyRing:
    """The configured keys. Found by eight digits of the hash, compared in constant time."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys: dict[str, list[ApiKey]] = {}
        for key in keys:
            self._keys.setdefault(key.hash[:15], []).append(key)

    def find(self, key: str) -> Principal:
        """The key's holder. Raises InvalidToken."""
        digest = hash_key(key)
        for candidate in self._keys.get(digest[:15], ()):
            if hmac.compare_digest(candidate.hash, digest):
                assert candidate.principal.kind is CredentialKind.KEY
                return candidate.principal
        raise InvalidToken(
            f"the API key, which begins with {PREFIX}, is none of the configured ones"
        )
