"""JSON Web Tokens (RFC 7519): whose they are and what they grant. Every key has one algorithm, so that none can be taken for another's.

The claim `channels` holds the grants: `{"subscribe": ["chat.*"], "publish": ["chat.lobby"], "presence": ["chat.*"]}`. `sub` and `exp` are
required; `nbf`, `iss` and `aud` are checked; `jti` names the token for those who want to revoke it.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from eventhub.auth.grants import NOTHING, Action, Grants
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.common.nesting import check_depth
from eventhub.errors import InvalidToken, TokenExpired, TooDeep

TOKEN_BYTES = 8 * 1024
TOKEN_DEPTH = 32
"""Levels of JSON in a header, in claims, and in a key set."""
NAME_LENGTH = 200
"""Characters of `sub` and `jti`."""
SECRET_BYTES = 32
"""The shortest HS256 secret (RFC 7518, 3.2)."""
RSA_BITS = 2048
"""The shortest RS256 key (RFC 7518, 3.3)."""
ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")
KEYS = 100
LATEST = 253_402_300_800
"""The first second of the year 10000, which times cannot be written of."""
KINDS: dict[type, str] = {
    bool: "a boolean", int: "a number", float: "a number", dict: "an object", list: "an array", type(None): "null",
}  # fmt: skip
"""Of JSON."""
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")

Material = bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """What signatures are checked with. `id` is the `kid` of tokens; without one it is tried for tokens that name none."""

    id: str | None
    algorithm: str
    material: Material


class UnknownKey(LookupError):
    """The token names a key that is not known, or not yet. Holds a sentence that says so."""


def load_key(key_id: str | None, algorithm: str, data: bytes) -> VerificationKey:
    """From a secret (HS256) or the PEM of a public key. Raises ValueError, without showing it."""
    if algorithm == "HS256":
        if len(data) < SECRET_BYTES:
            raise ValueError(
                f"an HS256 secret has {len(data)} bytes; expected at least {SECRET_BYTES} (RFC 7518, 3.2)"
            )
        if data.startswith(
            (b"-----BEGIN ", b"ssh-")
        ):  # whoever knows a public key could sign with it
            raise ValueError(
                "an HS256 secret is the text of an asymmetric key; expected a secret, or the key's own algorithm"
            )
        return VerificationKey(key_id, algorithm, data)
    try:
        material = load_pem_public_key(data)
    except (ValueError, TypeError):
        raise ValueError(f"it is not the PEM of a public key, which {algorithm} needs") from None
    return checked(key_id, algorithm, material)


def checked(key_id: str | None, algorithm: str, material: object) -> VerificationKey:
    """A key whose kind is that of its algorithm, and which is strong enough. Raises ValueError."""
    match material:
        case RSAPublicKey() if algorithm == "RS256":
            if material.key_size < RSA_BITS:
                raise ValueError(
                    f"the RSA key has {material.key_size} bits; expected at least {RSA_BITS} (RFC 7518, 3.3)"
                )
            return VerificationKey(key_id, algorithm, material)
        case EllipticCurvePublicKey() if algorithm == "ES256" and isinstance(
            material.curve, SECP256R1
        ):
            return VerificationKey(key_id, algorithm, material)
        case Ed25519PublicKey() if algorithm == "EdDSA":
            return VerificationKey(key_id, algorithm, material)
    expected = {
        "RS256": "an RSA key",
        "ES256": "a key on the curve P-256",
        "EdDSA": "an Ed25519 key",
    }
    raise ValueError(
        f"{algorithm} needs {expected.get(algorithm, 'another key')}, and this is another kind"
    )


class TokenVerifier:
    """Verifies tokens with `keys`, which may be replaced. `leeway` is in seconds of clocks that differ."""

    def __init__(
        self,
        keys: Iterable[VerificationKey],
        issuer: str | None,
        audience: str | None,
        leeway: float,
    ) -> None:
        self._issuer, self._audience, self._leeway = issuer, audience, leeway
        self._named: dict[str, list[VerificationKey]] = {}
        self._unnamed: list[VerificationKey] = []
        self.replace(keys)

    def replace(self, keys: Iterable[VerificationKey]) -> None:
        """Use these from now on."""
        self._named, self._unnamed = {}, []
        for key in keys:
            if key.id is None:
                self._unnamed.append(key)
            else:
                self._named.setdefault(key.id, []).append(key)

    def verify(self, token: str) -> Principal:
        """Whose token it is. Raises InvalidToken, TokenExpired, UnknownKey."""
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
        found = self._unnamed if key_id is None else self._named.get(key_id, [])
        if not found:
            named = "no key (kid)" if key_id is None else f"the key {key_id[:NAME_LENGTH]!r}"
            raise UnknownKey(f"the token names {named}; expected one that is configured")
        fitting = [key for key in found if key.algorithm == algorithm]
        if not fitting:
            raise InvalidToken(
                f"the token's algorithm is {str(algorithm)[:20]!r}; expected {found[0].algorithm}, which is its key's"
            )
        return fitting

    def _claims(self, token: str, key: VerificationKey) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token, key.material, algorithms=[key.algorithm], issuer=self._issuer, audience=self._audience, leeway=self._leeway,
                # see _principal
                options={"require": ["exp", "sub"], "verify_iat": False, "verify_sub": False, "verify_jti": False},
            )  # fmt: skip
        except (
            ValueError,
            TypeError,
            OverflowError,
        ) as error:  # claims of kinds that the library did not foresee
            raise InvalidToken(
                f"the token's claims cannot be read: {type(error).__name__}"
            ) from None
        return claims


def _header(token: str) -> dict[str, Any]:
    """Of a token that looks like one (RFC 7515, 7.1): nothing costly is done with one that does not. Raises InvalidToken.

    Its claims are parsed once their signature has been checked; how deep they nest is looked at before.
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
    raise InvalidToken(
        f"the credential is neither a JWT nor an API key, with {len(token)} characters"
    )


def _json(encoded: str) -> str:
    """The JSON of a header or of claims. Raises TooDeep, and ValueError for what is not UTF-8.

    Of bytes, Python's parser takes UTF-16, too, which it tells by its zeros, and in which brackets cannot be counted: half of U+2200
    is a quotation mark.
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
    )


def _no_name(claim: str, value: object) -> str:
    received = KINDS.get(type(value), "no text")
    if isinstance(value, str):
        received = f"a text of {len(value)} characters" + (
            "" if value.isprintable() else ", not all of which can be printed"
        )
    return f"the token's {claim} is {received}; expected a text of 1 to {NAME_LENGTH} printable characters"


def is_name(value: Any) -> bool:
    """Whether it can be a `sub` or `jti`. Half a surrogate pair, which JSON lets through, could not even be sent back."""
    return isinstance(value, str) and 1 <= len(value) <= NAME_LENGTH and value.isprintable()


def _grants(claim: Any) -> Grants:
    if claim is None:
        return NOTHING
    if not isinstance(claim, dict):
        kind = (
            "an array"
            if isinstance(claim, list)
            else "a text"
            if isinstance(claim, str)
            else "a number, true or false"
        )
        raise InvalidToken(
            f'the token\'s claim channels is {kind}; expected an object such as {{"subscribe":["chat.*"]}}'
        )
    if unknown := sorted(name for name in claim if name not in set(Action)):
        raise InvalidToken(
            f"the token's claim channels has {unknown[0][:40]!r}; expected {', '.join(Action)}"
        )
    if wrong := [action for action, patterns in claim.items() if not isinstance(patterns, list)]:
        raise InvalidToken(
            f'the token\'s claim channels.{wrong[0]} is no array; expected an array of patterns, such as ["chat.*"]'
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
            return "its audience (aud) is not auth.tokens.audience, or it has one and none is configured (RFC 7519, 4.1.3)"
        case jwt.InvalidIssuerError():
            return "its issuer (iss) is not auth.tokens.issuer"
        case jwt.DecodeError() if "(exp)" in str(error) or "(nbf)" in str(error):
            return "its exp or nbf is no time, which is a number of seconds since 1970 (RFC 7519, 4.1.4)"
        case jwt.DecodeError():
            return "it is malformed"
        case _:
            return type(error).__name__.removesuffix("Error")
