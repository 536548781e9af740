"""JSON Web Tokens (RFC 7519): verifying them, and reading their principal and grants.

The claim `channels` holds the grants: `{"subscribe": ["chat.*"], "publish": ["chat.lobby"]}`. `sub`
and `exp` are required. `nbf`, `iss` and `aud` are checked. `jti` names the token, so that it can be
revoked. `member_data` is the data of its members in presence.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jwt

from eventhub.auth.grants import NOTHING, Action, Grants
from eventhub.auth.principal import MEMBER_BYTES, CredentialKind, Principal
from eventhub.auth.verification_keys import VerificationKey
from eventhub.common.nesting import check_depth
from eventhub.common.strict_json import dump
from eventhub.errors import InvalidToken, TokenExpired, TooDeep

TOKEN_BYTES = 8 * 1024
TOKEN_DEPTH = 32
"""Levels of JSON in a header, in claims and in a key set."""
NAME_LENGTH = 200
"""Characters of `sub` and `jti`."""
KEYS = 100
LATEST = 253_402_300_800
"""The first second of the year 10000. Later times have no date."""
KINDS: dict[type, str] = {
    bool: "a boolean", int: "a number", float: "a number",
    dict: "an object", list: "an array",
}  # fmt: skip
"""Names of JSON types, of values that are neither null nor texts."""
OPTIONS: Any = {
    "require": ["exp", "sub"], "verify_iat": False, "verify_sub": False, "verify_jti": False,
}  # fmt: skip
"""`sub` and `jti` are checked by `_principal`, with messages of our own."""
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")


class UnknownKey(LookupError):
    """The token names a key that this node does not know, or not yet. The text is a sentence."""


class TokenVerifier:
    """Verifies tokens with `keys`.

    `leeway` is the accepted difference of clocks, in seconds.
    """

    def __init__(
        self,
        keys: Iterable[VerificationKey],
        issuer: str | None,
        audience: str | None,
        leeway: float,
    ) -> None:
        self._issuer, self._audience, self._leeway = issuer, audience, leeway
        self.replace(keys)

    def replace(self, keys: Iterable[VerificationKey]) -> None:
        """Use these keys from now on."""
        self._named: dict[str, list[VerificationKey]] = {}
        self._unnamed: list[VerificationKey] = []
        for key in keys:
            if key.id is None:
                self._unnamed.append(key)
            else:
                self._named.setdefault(key.id, []).append(key)

    def verify(self, token: str) -> Principal:
        """The token's principal. Raises InvalidToken, TokenExpired, UnknownKey."""
        if len(token) > TOKEN_BYTES:
            raise InvalidToken(
                f"the token has {len(token)} bytes; at most {TOKEN_BYTES} are allowed"
            )
        keys = self._candidates(token)
        for last, key in enumerate(keys, 1 - len(keys)):
            try:
                return _principal(self._claims(token, key), self._leeway)
            except jwt.ExpiredSignatureError:
                raise TokenExpired("the token has expired; expected a new one") from None
            except jwt.InvalidSignatureError:
                if not last:
                    raise InvalidToken("the token's signature is not that of its key") from None
            except jwt.PyJWTError as error:
                raise InvalidToken(f"the token cannot be accepted: {_sentence(error)}") from None
        raise AssertionError("there is a candidate, or UnknownKey was raised")

    def _candidates(self, token: str) -> list[VerificationKey]:
        header = _header(token)
        algorithm, key_id = header.get("alg"), header.get("kid")
        if "crit" in header:
            raise InvalidToken(
                "the token has critical extensions, of which none is known (RFC 7515, 4.1.11)"
            )
        if key_id is not None and not isinstance(key_id, str):
            raise InvalidToken("the token's kid is not a text (RFC 7515, 4.1.4)")
        found = self._unnamed if key_id is None else self._named.get(key_id)
        if not found:
            named = "no key (kid)" if key_id is None else f"the key {key_id[:NAME_LENGTH]!r}"
            raise UnknownKey(f"the token names {named}; expected one that is configured")
        fitting = [key for key in found if key.algorithm == algorithm]
        if not fitting:
            raise InvalidToken(
                f"the token's algorithm is {str(algorithm)[:20]!r}; "
                f"expected {found[0].algorithm}, which is its key's"
            )
        return fitting

    def _claims(self, token: str, key: VerificationKey) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.material,
                algorithms=[key.algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=self._leeway,
                options=OPTIONS,
            )
        # Raised for types of claims that the library does not expect.
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidToken(
                f"the token's claims cannot be read: {type(error).__name__}"
            ) from None
        return claims


def _header(token: str) -> dict[str, Any]:
    """The header of a token in compact form (RFC 7515, 7.1). Raises InvalidToken.

    Any other form is refused before any costly step. The claims are parsed later, after the
    signature check, but their depth is checked here.
    """
    try:
        if found := _TOKEN.fullmatch(token):
            header = json.loads(_json(found[1]))
            _json(found[2])
            if isinstance(header, dict):
                return header
    except ValueError:
        pass
    except TooDeep:
        raise InvalidToken(
            f"the token's JSON nests deeper than {TOKEN_DEPTH} levels, which is the limit"
        ) from None
    scheme = "; expected it without 'Bearer '" if token[:7].lower() == "bearer " else ""
    raise InvalidToken(
        f"the credential is neither a JWT nor an API key, with {len(token)} characters{scheme}"
    )


def _json(encoded: str) -> str:
    """The JSON of a header or of claims. Raises TooDeep, and ValueError if it is not UTF-8.

    Python's parser also accepts bytes in UTF-16, which it recognizes by zeros. Brackets in UTF-16
    cannot be counted: half of U+2200 is a quotation mark.
    """
    found = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    text = found.decode()
    if "\0" in text:
        raise ValueError("JSON has no zeros (RFC 8259, 7)")
    check_depth(found, TOKEN_DEPTH)
    return text


def _principal(claims: Mapping[str, Any], leeway: float) -> Principal:
    name, token, expires = claims["sub"], claims.get("jti"), claims["exp"]
    if not is_name(name):
        raise InvalidToken(_no_name("sub", name))
    if token is not None and not is_name(token):
        raise InvalidToken(_no_name("jti", token))
    if not isinstance(expires, (int, float)) or not 0 < expires < LATEST:
        raise InvalidToken("the token's exp is not a time in seconds since 1970 (RFC 7519, 4.1.4)")
    return Principal(
        CredentialKind.TOKEN,
        name,
        _grants(claims.get("channels")),
        expires=int((expires + leeway) * 1000),
        token=token,
        member_data=_member_data(claims.get("member_data")),
    )


def _member_data(claim: Any) -> bytes | None:
    """The claim as compact JSON. Raises InvalidToken."""
    if claim is None:
        return None
    expected = f"expected an object of at most {MEMBER_BYTES} bytes of JSON"
    if not isinstance(claim, dict):
        kind = KINDS.get(type(claim), "a text")
        raise InvalidToken(f"the token's claim member_data is {kind}; {expected}")
    try:
        data = dump(claim)
    except TooDeep:  # also for half a surrogate pair, and for an integer of more than 64 bits
        raise InvalidToken("the token's claim member_data cannot be written as JSON") from None
    if len(data) > MEMBER_BYTES:
        raise InvalidToken(f"the token's claim member_data has {len(data)} bytes; {expected}")
    return data


def _no_name(claim: str, value: object) -> str:
    if isinstance(value, str):
        received = f"a text of {len(value)} characters" + (
            "" if value.isprintable() else ", not all of which can be printed"
        )
    else:
        received = KINDS[type(value)]
    expected = f"a text of 1 to {NAME_LENGTH} printable characters"
    return f"the token's {claim} is {received}; expected {expected}"


def is_name(value: Any) -> bool:
    """Whether a value can be a `sub` or `jti`.

    It must be printable. JSON allows half a surrogate pair, which could not even be sent back.
    """
    return isinstance(value, str) and 1 <= len(value) <= NAME_LENGTH and value.isprintable()


def _grants(claim: Any) -> Grants:
    if claim is None:
        return NOTHING
    if not isinstance(claim, dict):
        raise InvalidToken(
            f"the token's claim channels is {KINDS.get(type(claim), 'a text')}; "
            'expected an object such as {"subscribe":["chat.*"]}'
        )
    if unknown := sorted(name for name in claim if name not in set(Action)):
        raise InvalidToken(
            f"the token's claim channels has {unknown[0][:40]!r}; expected {', '.join(Action)}"
        )
    if wrong := [action for action, patterns in claim.items() if not isinstance(patterns, list)]:
        raise InvalidToken(
            f"the token's claim channels.{wrong[0]} is no array; "
            'expected an array of patterns, such as ["chat.*"]'
        )
    try:
        return Grants({Action(action): patterns for action, patterns in claim.items()})
    except ValueError as error:
        raise InvalidToken(f"the token's claim channels: {error}") from None


def _sentence(error: jwt.PyJWTError) -> str:
    match error:
        case jwt.MissingRequiredClaimError():
            return f"it has no claim {error.claim}; sub and exp are required"
        case jwt.ImmatureSignatureError():
            return "it is not valid yet (nbf)"
        case jwt.InvalidAudienceError():
            return (
                "its audience (aud) is not auth.tokens.audience, or it has one and none is "
                "configured (RFC 7519, 4.1.3)"
            )
        case jwt.InvalidIssuerError():
            return "its issuer (iss) is not auth.tokens.issuer"
        case jwt.DecodeError() if "(exp)" in str(error) or "(nbf)" in str(error):
            return (
                "its exp or nbf is no time, which is a number of seconds since 1970 "
                "(RFC 7519, 4.1.4)"
            )
        case jwt.DecodeError():
            return "it is malformed"
        case _:
            return type(error).__name__.removesuffix("Error")
