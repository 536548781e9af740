"""Turns the credential of a request into a principal."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from eventhub.auth.authenticator import Authenticator
from eventhub.auth.blocks import Blocks
from eventhub.auth.grants import Action, Grants
from eventhub.auth.keys import ApiKey, KeyRing
from eventhub.auth.principal import ANYONE, STRANGER, CredentialKind, Principal
from eventhub.auth.tokens import TOKEN_BYTES, TokenVerifier, UnknownKey
from eventhub.auth.verification_keys import VerificationKey, load_key
from eventhub.common.addresses import address_key
from eventhub.common.token_bucket import TokenBucket
from eventhub.config.auth_settings import AuthSettings, KeySettings, VerificationKeySettings
from eventhub.errors import (
    ConfigurationError,
    EventHubError,
    Forbidden,
    InvalidRequest,
    InvalidToken,
    KeysUnavailable,
    RateLimited,
    Unauthorized,
)
from eventhub.server.messages.request_head import check_query
from eventhub.server.security.jwks import KeySet

SCHEME = b"bearer "
OFFER = "eventhub.bearer."
"""Prefix of the subprotocol that carries a credential, for browsers, which cannot set headers.

The server never selects it.
"""
PARAMETER = b"access_token"
"""RFC 6750, 2.3."""

ADDRESSES = 10_000
"""Addresses whose bad credentials are counted. Beyond this number, the address that has been
inactive longest is forgotten.
"""
Headers = Mapping[bytes, bytes]


class Authentication:
    """Checks credentials. `clock` returns milliseconds since the Unix epoch."""

    def __init__(
        self,
        auth: AuthSettings,
        directory: Path,
        clock: Callable[[], int],
        bad_credentials: float = 20,
    ) -> None:
        """Raise ConfigurationError if a key cannot be used."""
        self.settings = auth
        self._clock = clock
        self._bad_credentials = bad_credentials
        self._failures: OrderedDict[str, TokenBucket] = OrderedDict()  # by address
        self.nobody = STRANGER if auth.configured else ANYONE
        """The principal of a request without a credential."""
        self._fixed = [
            load_verification_key(number, key, directory)
            for number, key in enumerate(auth.tokens.keys)
        ]
        tokens = auth.tokens
        verifier = (
            TokenVerifier(self._fixed, tokens.issuer, tokens.audience, tokens.leeway)
            if tokens.keys or tokens.jwks
            else None
        )
        self._verifier = verifier
        self._fetched: list[VerificationKey] = []
        self.generation = 0
        """Another number once keys have changed: a credential may now mean something else."""
        self._authenticator = Authenticator(KeyRing(map(_api_key, auth.keys)), verifier, clock)
        self.key_set = KeySet(tokens.jwks, self._replace) if tokens.jwks else None

    @property
    def blocks(self) -> Blocks:
        """The blocks of operators."""
        return self._authenticator.blocks

    def identify(
        self, headers: Headers, offered: Iterable[str] = (), address: str = ""
    ) -> Principal:
        """Return the principal of a request with these headers and offered subprotocols.

        Raises EventHubError and UnknownKey.
        """
        if self.nobody is ANYONE:
            return ANYONE
        credential = _credential(headers, offered)
        return STRANGER if credential is None else self.authenticate(credential, address)

    async def admit(
        self, headers: Headers, offered: Iterable[str] = (), address: str = ""
    ) -> Principal:
        """Like `identify`, but fetch keys for a token with an unknown key. Raises EventHubError."""
        try:
            return self.identify(headers, offered, address)
        except UnknownKey:
            refreshed = await self.refresh()
        try:
            return self.identify(headers, offered, address)
        except UnknownKey as error:
            raise self.unknown(error, refreshed=refreshed) from None

    async def admit_operator(self, headers: Headers, address: str = "") -> Principal:
        """Like `admit`, but raise Forbidden if the principal is no operator."""
        principal = await self.admit(headers, address=address)
        if not principal.known and self.nobody is STRANGER:
            raise Unauthorized(
                "this needs an operator's API key, and none was sent; "
                "expected Authorization: Bearer …"
            )
        if not principal.operator:
            raise Forbidden(
                f"{principal.kind} {principal.name!r} is no operator; "
                "expected an API key with operator: true"
            )
        return principal

    def authenticate(self, credential: str, address: str = "") -> Principal:
        """Return the principal of a credential that came from this address.

        Raises InvalidToken, TokenExpired, Revoked, RateLimited and UnknownKey.
        """
        if self.nobody is ANYONE:
            raise InvalidToken(
                "this server has no authentication configured, and accepts no credentials"
            )
        wait = (
            failures.wait(self._clock())
            if self._failures and (failures := self._failures.get(address_key(address)))
            else 0.0
        )
        if wait and not self._authenticator.remembers(credential):
            raise RateLimited(
                "too many bad credentials came from this address (limits.bad_credentials)",
                retry_after=wait,
            ).with_limit("bad_credentials")
        try:
            return self._authenticator.authenticate(credential)
        except (InvalidToken, UnknownKey):
            self._failed(address)
            raise

    def check(self, principal: Principal) -> None:
        """Check again a principal that was admitted before. Raises TokenExpired and Revoked."""
        self._authenticator.check(principal)

    def _failed(self, address: str) -> None:
        """Count a bad credential. Checking a large one takes a millisecond."""
        now, key = self._clock(), address_key(address)
        if (failures := self._failures.pop(key, None)) is None:
            failures = TokenBucket(self._bad_credentials, 5 * self._bad_credentials)
        self._failures[key] = failures
        failures.spend(1, now)
        while len(self._failures) > ADDRESSES or next(iter(self._failures.values())).idle(now):
            self._failures.popitem(last=False)

    async def refresh(self) -> bool:
        """Fetch the key set because of an unknown key.

        Returns False if the last fetch was too recent. Check the token again in any case.
        """
        return self.key_set is None or await self.key_set.refresh()

    def unknown(self, error: UnknownKey, *, refreshed: bool) -> EventHubError:
        """Return the error for a token with an unknown key.

        If the key set may be outdated, the error does not call the token invalid: the key may be
        new, and the client must try again.
        """
        if self.key_set is not None and (self.key_set.failing or not refreshed):
            state = (
                "cannot be fetched now"
                if self.key_set.failing
                else "was fetched a moment ago and will be fetched again"
            )
            return KeysUnavailable(f"{error}, and the JSON Web Key Set that may hold it {state}")
        return InvalidToken(str(error))

    def move_query_token(self, query: bytes, headers: Headers) -> tuple[bytes, Headers]:
        """Move a credential from the query string to the headers, and return both.

        Raises InvalidRequest.
        """
        if PARAMETER not in query:
            return query, headers
        check_query(query)
        fields = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
        found = [value for name, value in fields if name == PARAMETER.decode()]
        if not found:
            return query, headers
        if not self.settings.query:
            raise InvalidRequest(
                "a credential is in the address, which logs record; "
                "expected it in the header Authorization"
            )
        if len(found) > 1 or b"authorization" in headers:
            raise InvalidRequest("more than one credential was sent; expected one")
        rest = urlencode([field for field in fields if field[0] != PARAMETER.decode()]).encode()
        return rest, {**headers, b"authorization": SCHEME + found[0].encode("utf-8", "replace")}

    def unready(self) -> str | None:
        """Return the reason if tokens cannot be verified now, else None."""
        return self.key_set.trouble if self.key_set else None

    def _replace(self, keys: Iterable[VerificationKey]) -> None:
        assert self._verifier is not None
        found = list(keys)
        # Unchanged keys keep the verified tokens: otherwise every token would be verified again.
        if found != self._fetched:
            self._fetched = found
            self.generation += 1
            self._verifier.replace([*self._fixed, *found])
            self._authenticator.forget()


def address_of(scope: Mapping[str, Any]) -> str:
    """Return the client's address of an ASGI scope, or "" if there is none."""
    client = scope["client"]
    return client[0] if client else ""


def _credential(headers: Headers, offered: Iterable[str]) -> str | None:
    """Return the credential of the Authorization header or of an offered subprotocol, if any.

    Raises Unauthorized, InvalidRequest and InvalidToken. Source: RFC 6750, 2.1.
    """
    value = headers.get(b"authorization")
    found = None if value is None else _bearer(value)
    if offered and (
        offers := [name.removeprefix(OFFER) for name in offered if name.startswith(OFFER)]
    ):
        if found is not None or len(offers) > 1:
            raise InvalidRequest("more than one credential was sent; expected one")
        found = offers[0]
    if found is not None and len(found) > TOKEN_BYTES:
        raise InvalidToken(
            f"the credential has {len(found)} bytes; at most {TOKEN_BYTES} are allowed"
        )
    return found


def _bearer(value: bytes) -> str:
    if value[: len(SCHEME)].lower() != SCHEME:
        # Without a space the value is a credential, which must not be shown.
        scheme, space, _ = value.partition(b" ")
        received = f"the scheme {scheme[:20].decode('latin-1')!r}" if space else "no scheme"
        raise Unauthorized(f"Authorization has {received}; expected Bearer")
    return value[len(SCHEME) :].strip().decode("latin-1")


def _api_key(settings: KeySettings) -> ApiKey:
    grants = Grants({action: getattr(settings, action) for action in Action})
    expires = None if settings.expires is None else int(settings.expires.timestamp() * 1000)
    return ApiKey(
        settings.hash,
        Principal(
            CredentialKind.KEY,
            settings.name,
            grants,
            expires,
            rate=settings.rate,
            operator=settings.operator,
        ),
    )


def load_verification_key(
    number: int, settings: VerificationKeySettings, directory: Path
) -> VerificationKey:
    """Return item `number` of auth.tokens.keys. Raises ConfigurationError."""
    where = f"auth.tokens.keys.{number}"
    if settings.secret is not None:
        data = settings.secret.get_secret_value().encode()
    else:
        assert settings.file is not None
        file = directory / settings.file
        try:
            data = file.read_bytes().strip()
        except OSError as error:
            raise ConfigurationError(f"{where}: {file} cannot be read: {error.strerror}") from None
    try:
        return load_key(settings.id, settings.algorithm, data)
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from None
