"""Keys that are too weak, or not of their algorithm, are refused."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa

from eventhub.auth.verification_keys import load_key
from tests.harness.credentials import (
    SECRET,
    private,
    private_pem,
    public_pem,
)


def test_a_short_secret_is_refused_and_not_shown() -> None:
    assert load_key(None, "HS256", b"x" * 32).algorithm == "HS256"
    with pytest.raises(ValueError, match="31 bytes; expected at least 32") as found:
        load_key(None, "HS256", b"s3cret" * 5 + b"!")
    assert "s3cret" not in str(found.value)


@pytest.mark.parametrize(
    "pem",
    [
        public_pem(private("RS256")),
        private_pem(private("ES256")),
        b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI ana@host",
    ],
)
def test_the_text_of_an_asymmetric_key_is_refused_as_a_secret(pem: bytes) -> None:
    with pytest.raises(ValueError, match="text of an asymmetric key"):
        load_key(None, "HS256", pem)


def test_a_weak_key_is_refused() -> None:
    with pytest.raises(ValueError, match="1024 bits; expected at least 2048"):
        load_key(None, "RS256", public_pem(rsa.generate_private_key(65537, 1024)))


@pytest.mark.parametrize(
    ("algorithm", "other"),
    [
        ("RS256", "ES256"),
        ("RS256", "EdDSA"),
        ("ES256", "RS256"),
        ("ES256", "EdDSA"),
        ("EdDSA", "ES256"),
        ("EdDSA", "RS256"),
    ],
)
def test_a_key_of_another_kind_is_refused(algorithm: str, other: str) -> None:
    with pytest.raises(ValueError, match=f"{algorithm} needs an? .*key"):
        load_key(None, algorithm, public_pem(private(other)))


def test_another_curve_is_refused() -> None:
    for curve in (ec.SECP384R1(), ec.SECP521R1(), ec.SECP256K1()):
        with pytest.raises(ValueError, match="P-256"):
            load_key(None, "ES256", public_pem(ec.generate_private_key(curve)))
    with pytest.raises(ValueError, match="Ed25519"):
        load_key(None, "EdDSA", public_pem(ed448.Ed448PrivateKey.generate()))  # type: ignore[arg-type]  # none that is taken


@pytest.mark.parametrize(
    "data", [b"", b"s3cret", SECRET, b"\xff\x00", private_pem(private("RS256"))]
)
def test_text_that_is_no_public_key_is_refused_and_not_shown(data: bytes) -> None:
    with pytest.raises(ValueError, match="not the PEM of a public key; RS256 needs one") as found:
        load_key(None, "RS256", data)
    assert "s3cret" not in str(found.value)
    assert found.value.__cause__ is None


@pytest.mark.parametrize(
    ("algorithm", "named"),
    [("RS256", "2a0304"), ("EdDSA", "2a0304"), ("ES256", "2a8648ce3d0201 2a0304")],
)
def test_a_key_of_an_unknown_algorithm_or_curve_is_refused(algorithm: str, named: str) -> None:
    identifiers = b"".join(der(0x06, bytes.fromhex(identifier)) for identifier in named.split())
    key = der(0x30, der(0x30, identifiers) + der(0x03, b"\0" + b"k" * 32))
    pem = b"-----BEGIN PUBLIC KEY-----\n%b-----END PUBLIC KEY-----\n" % base64.encodebytes(key)
    with pytest.raises(ValueError, match=f"is not known; expected {algorithm}"):
        load_key(None, algorithm, pem)


def der(kind: int, content: bytes) -> bytes:
    """A value in the encoding of keys (X.690), of at most 127 bytes."""
    return bytes([kind, len(content)]) + content


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(ValueError, match="RS512 needs another key"):
        load_key(None, "RS512", public_pem(private("RS256")))
