"""Turns a credential, which is an API key or a token, into a principal.

It remembers verified credentials, because checking a signature takes long.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from eventhub.auth.blocks import Blocks
from eventhub.auth.keys import PREFIX, KeyRing
from eventhub.auth.principal import Principal
from eventhub.auth.tokens import TokenVerifier
from eventhub.errors import InvalidToken, TokenExpired

REMEMBERED = 10_000
REMEMBERED_BYTES = 8 * 1024 * 1024
"""Total size of the remembered credentials. A long credential has a large principal, with many
grants.
"""


class Authenticator:
    """Verifies API keys and tokens. `clock` gives milliseconds since the Unix epoch."""

    def __init__(
        self, keys: KeyRing, tokens: TokenVerifier | None, clock: Callable[[], int]
    ) -> None:
        self._keys, self._tokens, self._clock = keys, tokens, clock
        self._known: OrderedDict[bytes, tuple[Principal, int]] = OrderedDict()
        self._size = 0
        self.blocks = Blocks()

    def forget(self) -> None:
        """Forget all verified credentials, because the keys have changed."""
        self._known.clear()
        self._size = 0

    def remembers(self, credential: str) -> bool:
        """Whether the credential has been verified before."""
        return _digest(credential) in self._known

    def authenticate(self, credential: str) -> Principal:
        """The credential's principal. Raises InvalidToken, TokenExpired, Revoked, UnknownKey."""
        digest = _digest(credential)
        if (found := self._known.get(digest)) is None:
            found = self._known[digest] = self._verify(credential), len(credential)
            self._size += len(credential)
            while len(self._known) > REMEMBERED or self._size > REMEMBERED_BYTES:
                self._size -= self._known.popitem(last=False)[1][1]
        try:
            self.check(found[0])
        except TokenExpired:
            self._size -= self._known.pop(digest)[1]
            raise
        return found[0]

    def check(self, principal: Principal) -> None:
        """Check the expiry and the blocks again. Raises TokenExpired, Revoked."""
        now = self._clock()
        if principal.expires is not None and principal.expires <= now:
            raise TokenExpired(f"the {principal.kind} has expired; expected a new one")
        self.blocks.check(principal, now)

    def _verify(self, credential: str) -> Principal:
        if credential.startswith(PREFIX):
            return self._keys.find(credential)
        if self._tokens is None:
            raise InvalidToken(
                f"the credential is not an API key (they begin with {PREFIX}); "
                "this server accepts no tokens"
            )
        return self._tokens.verify(credential)


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()
