"""server/security/authentication.py and host_check.py: sizes, ends and what is remembered."""

from pathlib import Path

import pytest

from eventhub.auth.keys import hash_key
from eventhub.auth.tokens import TOKEN_BYTES
from eventhub.auth.verification_keys import load_key
from eventhub.config.auth_settings import AuthSettings
from eventhub.config.settings import Settings
from eventhub.errors import InvalidToken
from eventhub.server.security.authentication import Authentication
from eventhub.server.security.host_check import REMEMBERED, HostCheck

KEY = "ehk_ana-0123456789abcdef"
ISSUER = "https://issuer.example"


def authentication(*, key_set: bool = False) -> Authentication:
    keys = [{"name": "ana", "hash": hash_key(KEY), "expires": "2033-05-18T03:33:20Z"}]
    tokens = {"jwks": f"{ISSUER}/keys", "issuer": ISSUER, "audience": "hub"} if key_set else {}
    settings = AuthSettings.model_validate({"keys": keys, "tokens": tokens})
    return Authentication(settings, Path(), lambda: 1_000_000)


def test_a_credential_has_a_bound_of_its_size() -> None:
    for size, told in ((TOKEN_BYTES, False), (TOKEN_BYTES + 1, True)):
        header = {b"authorization": b"Bearer " + b"a" * size}
        with pytest.raises(InvalidToken) as refused:
            authentication().identify(header)
        assert (f"at most {TOKEN_BYTES} are allowed" in refused.value.message) is told


def test_the_end_of_an_api_key_is_in_milliseconds() -> None:
    assert authentication().authenticate(KEY).expires == 2_000_000_000_000


def test_the_generation_changes_with_the_keys_and_only_then() -> None:
    found = authentication(key_set=True)
    key = load_key("a", "HS256", b"s" * 32)
    generations = [found.generation]
    for keys in ([key], [key], [], []):
        found._replace(keys)
        generations.append(found.generation)
    first, second, *rest = generations
    assert first != second
    assert rest[0] == second
    assert rest[1] not in (first, second)
    assert rest[2] == rest[1]


def test_only_so_many_hosts_are_remembered() -> None:
    check = HostCheck(Settings())
    for number in range(3 * REMEMBERED):
        check.check(b"h%d.localhost" % number)
    assert len(check._good) == REMEMBERED
