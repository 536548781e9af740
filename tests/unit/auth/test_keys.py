"""auth/keys.py: API keys and their hashes."""

import hashlib
import re

import pytest

from eventhub.auth.grants import EVERYTHING
from eventhub.auth.keys import HASH, PREFIX, ApiKey, KeyRing, hash_key, new_key
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.errors import InvalidToken


def holder(name: str) -> Principal:
    return Principal(CredentialKind.KEY, name, EVERYTHING)


def test_a_key_has_256_random_bits_and_is_known_by_its_prefix() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(re.fullmatch(r"ehk_[A-Za-z0-9_-]{43}", key) for key in keys)


def test_the_configuration_holds_a_hash() -> None:
    key = new_key()
    assert hash_key(key) == f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    assert HASH.fullmatch(hash_key(key))


def test_a_key_finds_its_holder_among_others() -> None:
    keys = [new_key() for _ in range(50)]
    ring = KeyRing(ApiKey(hash_key(key), holder(str(number))) for number, key in enumerate(keys))
    assert [ring.find(key).name for key in keys] == [str(number) for number in range(50)]


def test_keys_whose_hashes_begin_alike_are_told_apart() -> None:
    key = new_key()
    good = hash_key(key)
    alike = good[:-1] + ("0" if good[-1] != "0" else "1")
    assert (
        KeyRing([ApiKey(alike, holder("other")), ApiKey(good, holder("own"))]).find(key).name
        == "own"
    )
    with pytest.raises(InvalidToken):
        KeyRing([ApiKey(alike, holder("other"))]).find(key)


def test_any_other_key_is_refused_and_not_shown() -> None:
    key = new_key()
    ring = KeyRing([ApiKey(hash_key(key), holder("own"))])
    for other in (
        new_key(),
        key[:-1],
        key + "x",
        key.upper(),
        PREFIX,
        key + "\n",
        " " + key,
        hash_key(key),
        "ehk_é",
    ):
        with pytest.raises(InvalidToken) as refused:
            ring.find(other)
        assert other[4:] not in str(refused.value) or not other[4:]
