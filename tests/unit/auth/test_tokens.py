"""Tokens that are accepted, and whose key checks them."""

import time
from typing import Any

import jwt
import pytest

from eventhub.auth.grants import Action
from eventhub.auth.principal import CredentialKind
from eventhub.auth.tokens import UnknownKey
from eventhub.auth.verification_keys import load_key
from tests.harness.credentials import (
    claims,
    part,
    private,
    public_pem,
    signed,
    signed_by,
    token,
)
from tests.unit.auth.token_checks import HS256, key, refused, verifier

ALGORITHMS = ("HS256", "RS256", "ES256", "EdDSA")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("key_id", [None, "2026-11", "../../etc/passwd", "é"])
def test_a_valid_token_gives_its_principal(algorithm: str, key_id: str | None) -> None:
    header = {"kid": key_id} if key_id else None
    found = verifier(key(algorithm, key_id)).verify(
        token(algorithm, header=header, exp=2_000_000_000, jti="t1")
    )
    assert (found.kind, found.name, found.token, found.expires) == (
        CredentialKind.TOKEN,
        "ana",
        "t1",
        2_000_000_000_000,
    )
    assert found.grants.patterns == {
        Action.SUBSCRIBE: ("chat.*",),
        Action.PUBLISH: (),
        Action.PRESENCE: (),
        Action.SIGNAL: (),
        Action.MODERATE: (),
        Action.REFUSED: (),
    }
    assert not found.operator


def test_the_expiry_includes_the_leeway() -> None:
    assert verifier(leeway=2.5).verify(token(exp=2_000_000_000)).expires == 2_000_000_002_500
    assert verifier(leeway=30).verify(token(exp=int(time.time()) - 10)).name == "ana"
    assert verifier(leeway=30).verify(token(nbf=int(time.time()) + 10)).name == "ana"


def test_without_the_claim_channels_there_are_no_grants() -> None:
    assert not any(verifier().verify(token(channels=None)).grants.patterns.values())
    assert not any(verifier().verify(token(channels={})).grants.patterns.values())


def test_every_key_with_the_same_id_or_without_one_is_tried() -> None:
    keys = [key("RS256", "a", 1), key("RS256", "a", 2), key("ES256", "a")]
    for algorithm, number in (("RS256", 1), ("RS256", 2), ("ES256", 0)):
        text = token(algorithm, private(algorithm, number), header={"kid": "a"})
        assert verifier(*keys).verify(text).name == "ana"
    nameless = [key("EdDSA", None, 1), key("EdDSA", None, 2)]
    assert verifier(*nameless).verify(token("EdDSA", private("EdDSA", 2))).name == "ana"
    assert "signature" in refused(token("EdDSA", private("EdDSA", 3)), *nameless)


def test_keys_can_be_replaced() -> None:
    found = verifier(key(key_id="old"))
    found.replace([key("ES256", "new")])
    assert found.verify(token("ES256", header={"kid": "new"})).name == "ana"
    with pytest.raises(UnknownKey):
        found.verify(token(header={"kid": "old"}))


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "NONE", ""])
@pytest.mark.parametrize("signature", ["", "AA"])
def test_a_token_without_a_signature_is_refused(algorithm: str, signature: str) -> None:
    text = f"{part({'alg': algorithm})}.{part(claims())}.{signature}"
    assert "algorithm" in refused(text) or "neither a JWT" in refused(text)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_public_key_is_no_hmac_secret(algorithm: str) -> None:
    pem = public_pem(private(algorithm))
    for secret in (pem, pem.strip(), pem.rstrip(b"\n")):
        assert f"expected {algorithm}" in refused(signed(HS256, claims(), secret), key(algorithm))
        text = signed({**HS256, "kid": "a"}, claims(), secret)
        assert f"expected {algorithm}" in refused(text, key(algorithm, "a"), key("HS256", "b"))


def test_a_key_is_used_with_its_own_algorithm_only() -> None:
    keys = [key("HS256", "h"), key("RS256", "r"), key("ES256", "e")]
    assert "algorithm is 'HS256'; expected RS256" in refused(token(header={"kid": "r"}), *keys)
    assert "algorithm is 'RS256'; expected HS256" in refused(
        token("RS256", header={"kid": "h"}), *keys
    )
    for other in ("RS512", "PS256", "ES384", "HS384", "HS512", "hs256", "HS256 "):
        assert "expected RS256" in refused(signed({"alg": other, "kid": "r"}, claims()), *keys)
    assert "signature" in refused(signed({"alg": "RS256", "kid": "r"}, claims()), *keys)


@pytest.mark.parametrize("algorithm", [None, 5, True, ["HS256"], {"a": 1}])
def test_an_algorithm_that_is_not_a_string_is_refused(algorithm: Any) -> None:
    assert refused(signed({"alg": algorithm}, claims()))


@pytest.mark.parametrize("key_id", ["other", "", "x" * 5000, "../../dev/null", "a' OR 1=1", "\x00"])
def test_an_unknown_key_can_be_looked_up(key_id: str) -> None:
    with pytest.raises(UnknownKey) as found:
        verifier(key(key_id="a")).verify(signed({**HS256, "kid": key_id}, claims()))
    assert len(str(found.value)) < 400


def test_a_token_without_a_kid_needs_a_key_without_an_id_and_vice_versa() -> None:
    with pytest.raises(UnknownKey):
        verifier(key(key_id="a")).verify(token())
    with pytest.raises(UnknownKey):
        verifier(key()).verify(token(header={"kid": "a"}))


@pytest.mark.parametrize("key_id", [5, True, ["a"], {"a": 1}, 1.5])
def test_a_kid_that_is_not_a_string_is_refused(key_id: Any) -> None:
    assert refused(signed({**HS256, "kid": key_id}, claims()), key(key_id="a"))


def test_keys_inside_a_token_are_ignored() -> None:
    own, other = private("RS256", 1), private("RS256", 2)
    for header in (
        {"jwk": jwt.get_algorithm_by_name("RS256").to_jwk(other.public_key(), as_dict=True)},
        {"jku": "http://127.0.0.1:1/keys"},
        {"x5u": "http://127.0.0.1:1/certificate"},
        {"x5c": ["MIIB"]},
    ):
        text = signed_by(other, {"alg": "RS256", **header}, claims())
        assert "signature" in refused(text, load_key(None, "RS256", public_pem(own)))
