"""API keys: each has 256 random bits, and the settings hold its hash.

Because a key is random and long, SHA-256 without salt or stretching is enough: there is nothing to
guess and nothing to precompute.
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
"""Every key begins with this, so that people and secret scanners recognize it."""
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
    """The key's hash, for the settings."""
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


class KeyRing:
    """The configured keys, found by eight digits of the hash and compared in constant time."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys: dict[str, list[ApiKey]] = {}
        for key in keys:
            self._keys.setdefault(key.hash[:15], []).append(key)

    def find(self, key: str) -> Principal:
        """The principal that holds the key. Raises InvalidToken."""
        digest = hash_key(key)
        for candidate in self._keys.get(digest[:15], ()):
            if hmac.compare_digest(candidate.hash, digest):
                assert candidate.principal.kind is CredentialKind.KEY
                return candidate.principal
        raise InvalidToken(f"the API key ({PREFIX}…) is none of the configured keys")
