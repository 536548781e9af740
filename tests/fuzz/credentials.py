"""Hostile credentials: any text, well-signed tokens with any content, and key sets with any
content.
"""

import base64
import hashlib
import hmac
import json
from functools import cache

from eventhub.auth.authenticator import Authenticator
from eventhub.auth.grants import Action
from eventhub.auth.keys import KeyRing
from eventhub.auth.principal import CredentialKind
from eventhub.auth.tokens import TokenVerifier, UnknownKey
from eventhub.auth.verification_keys import load_key
from eventhub.errors import EventHubError
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.security.jwks import read
from tests.fuzz.bodies import NOW, manager
from tests.fuzz.source import Source

SECRET = b"a secret of thirty-two bytes, yes"


@cache
def authenticator() -> Authenticator:
    keys = [load_key(None, "HS256", SECRET), load_key("k", "HS256", SECRET[::-1])]
    return Authenticator(KeyRing(()), TokenVerifier(keys, "me", None, 0), lambda: NOW)


def credentials(data: bytes) -> None:
    """A token is accepted if its signature, time and claims are valid; otherwise the error says
    why.
    """
    source = Source(data)
    flags = source.byte()
    parts = source.rest().split(b"\x00", 2)
    if flags & 1:
        head = b'{"alg":"HS256"}' if flags & 2 else parts[0]
        text = signed(head, parts[-1])
    else:
        text = parts[0].decode("latin-1")
    found = authenticator()
    try:
        principal = found.authenticate(text)
    except EventHubError as error:
        assert error.status in (401, 403)
        assert len(error.message) < 1000
        return
    except UnknownKey:
        return
    assert flags & 1
    claims = json.loads(parts[-1])
    assert (principal.kind, principal.name) == (CredentialKind.TOKEN, claims["sub"])
    assert claims["iss"] == "me"
    assert principal.expires is not None
    assert principal.expires > NOW
    granted = claims.get("channels") or {}
    for action in Action:
        assert list(principal.grants.patterns[action]) == granted.get(action, [])


def signed(head: bytes, payload: bytes) -> str:
    told = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (head, payload))
    signature = base64.urlsafe_b64encode(hmac.digest(SECRET, told, hashlib.sha256)).rstrip(b"=")
    return (told + b"." + signature).decode()


def key_sets(data: bytes) -> None:
    """A key set is read, or refused with a ValueError; every key that is read has a strong
    algorithm.
    """
    try:
        found = list(read(data))
    except ValueError:
        return
    assert all(key.algorithm in ("RS256", "ES256", "EdDSA") for key in found)


def queries(data: bytes) -> None:
    """A credential in an address is refused, or removed from it completely."""
    source = Source(data)
    headers = headers_by_name([(b"authorization", source.rest())]) if source.byte() & 1 else {}
    try:
        rest, lifted = manager().authentication.move_query_token(data, headers)
    except EventHubError as error:
        assert error.status == 400
        return
    assert (rest, lifted) == (data, headers), "this server takes none from addresses"
