"""Token verifiers and tokens that are refused, for tests."""

from typing import Any

import pytest

from eventhub.auth.tokens import TokenVerifier
from eventhub.auth.verification_keys import VerificationKey, load_key
from eventhub.errors import InvalidToken
from tests.harness.credentials import (
    SECRET,
    private,
    public_pem,
)

HS256 = {"alg": "HS256", "typ": "JWT"}


def key(algorithm: str = "HS256", key_id: str | None = None, number: int = 0) -> VerificationKey:
    return load_key(
        key_id,
        algorithm,
        SECRET if algorithm == "HS256" else public_pem(private(algorithm, number)),
    )


def verifier(
    *keys: VerificationKey,
    issuer: str | None = None,
    audience: str | None = None,
    leeway: float = 0,
) -> TokenVerifier:
    return TokenVerifier(keys or (key(),), issuer, audience, leeway)


def refused(text: str, *keys: VerificationKey, **more: Any) -> str:
    """The error message. It does not repeat the token."""
    with pytest.raises(InvalidToken) as found:
        verifier(*keys, **more).verify(text)
    assert len(text) < 20 or text[-20:] not in str(found.value)
    assert found.value.__cause__ is None, "a traceback would show the token"
    return str(found.value)
