"""From a credential to a principal: API keys and tokens alike. Remembers whom it has verified, for signatures take long to check."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from eventhub.auth.blocks import Blocks
from eventhub.auth.keys import PREFIX, KeyRing
from eventhub.auth.principal import Principal
from eventhub.auth.tokens import TokenVerifier
from eventhub.errors import InvalidToken, TokenExpired

REMEMBERED = 10_000


class Authenticator:
    """Credentials of both kinds. `clock` gives milliseconds since the Unix epoch."""

    def __init__(self, keys: KeyRing, tokens: TokenVerifier | None, clock: Callable[[], int]) -> None:
        self._keys, self._tokens, self._clock = keys, tokens, clock
        self._known: OrderedDict[bytes, Principal] = OrderedDict()
        self.blocks = Blocks()

    def forget(self) -> None:
        """Verify everyone anew: the keys are others."""
        self._known.clear()

    def authenticate(self, credential: str) -> Principal:
        """Raises InvalidToken, TokenExpired, Revoked, UnknownKey."""
        digest = hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest()
        if (principal := self._known.get(digest)) is None:
            principal = self._verify(credential)
            self._known[digest] = principal
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        now = self._clock()
        if principal.expires is not None and principal.expires <= now:
            del self._known[digest]
            raise TokenExpired(f"the {principal.kind} has expired; expected a new one")
        self.blocks.check(principal, now)
        return principal

    def _verify(self, credential: str) -> Principal:
        if credential.startswith(PREFIX):
            return self._keys.find(credential)
        if self._tokens is None:
            raise InvalidToken(f"the credential is not an API key, which would begin with {PREFIX}; this server takes no tokens")
        return self._tokens.verify(credential)
