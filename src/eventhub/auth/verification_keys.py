"""Keys that verify tokens: loading them, and refusing weak ones.

Each key has one algorithm, so no key can be used with another one's.
"""

from dataclasses import dataclass

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

SECRET_BYTES = 32
"""The shortest HS256 secret (RFC 7518, 3.2)."""
RSA_BITS = 2048
"""The shortest RS256 key (RFC 7518, 3.3)."""

Material = bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key for signatures. `id` is the `kid` of its tokens; None: for tokens without one."""

    id: str | None
    algorithm: str
    material: Material


def load_key(key_id: str | None, algorithm: str, data: bytes) -> VerificationKey:
    """A key from a secret (HS256) or the PEM of a public key.

    Raises ValueError, which does not show the data.
    """
    if algorithm == "HS256":
        if len(data) < SECRET_BYTES:
            raise ValueError(
                f"an HS256 secret has {len(data)} bytes; "
                f"expected at least {SECRET_BYTES} (RFC 7518, 3.2)"
            )
        if data.startswith((b"-----BEGIN ", b"ssh-")):  # anybody can sign with a public key
            raise ValueError(
                "an HS256 secret is the text of an asymmetric key; "
                "expected a secret, or the key's own algorithm"
            )
        return VerificationKey(key_id, algorithm, data)
    try:
        material = load_pem_public_key(data)
    except ValueError:
        raise ValueError(f"it is not the PEM of a public key; {algorithm} needs one") from None
    except UnsupportedAlgorithm:
        raise ValueError(
            f"the algorithm or the curve of its key is not known; expected {algorithm}"
        ) from None
    return check_key(key_id, algorithm, material)


def check_key(key_id: str | None, algorithm: str, material: object) -> VerificationKey:
    """A key that fits its algorithm and is strong enough. Raises ValueError for any other."""
    match material:
        case RSAPublicKey() if algorithm == "RS256":
            if material.key_size < RSA_BITS:
                raise ValueError(
                    f"the RSA key has {material.key_size} bits; "
                    f"expected at least {RSA_BITS} (RFC 7518, 3.3)"
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
        f"the key is of another kind; {algorithm} needs {expected.get(algorithm, 'another key')}"
    )
