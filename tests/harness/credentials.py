"""Keys and tokens for tests: good ones, made by PyJWT, and forged ones, put together by hand."""

import base64
import hashlib
import hmac
import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

SECRET = b"correct horse battery staple, thirty-two bytes and more"
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
KINDS = {"RS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}


def private(algorithm: str, number: int = 0) -> Private:
    """The private key of that number."""
    return _private(algorithm, number)


@cache
def _private(algorithm: str, number: int) -> Private:
    match algorithm:
        case "RS256":
            return rsa.generate_private_key(65537, 2048)
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
    raise ValueError(algorithm)


def public_pem(key: Private) -> bytes:
    """What verifies what it signs."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: Private) -> bytes:
    """What signs."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def jwk(algorithm: str, key_id: str | None = None, number: int = 0, **more: Any) -> dict[str, Any]:
    """The public key as an item of a JSON Web Key Set (RFC 7517)."""
    key: Any = private(algorithm, number).public_key()
    found: dict[str, Any] = jwt.get_algorithm_by_name(algorithm).to_jwk(key, as_dict=True)
    found.pop("key_ops", None)
    return {
        **found,
        "alg": algorithm,
        "use": "sig",
        **({} if key_id is None else {"kid": key_id}),
        **more,
    }


def claims(**more: Any) -> dict[str, Any]:
    """Of a good token; a claim that is None is left out."""
    wanted = {
        "sub": "ana",
        "exp": int(time.time()) + 600,
        "channels": {"subscribe": ["chat.*"]},
        **more,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def token(
    algorithm: str = "HS256", key: Any = None, header: dict[str, Any] | None = None, **more: Any
) -> str:
    """A good one, unless the claims say otherwise."""
    signing = key if key is not None else SECRET if algorithm == "HS256" else private(algorithm)
    return jwt.encode(claims(**more), signing, algorithm, headers=header)


def part(value: Any) -> str:
    """A segment of a token: base64url of JSON, or of bytes as they are."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header: Any, payload: Any, secret: bytes = SECRET) -> str:
    """Any header over any payload, with a good HMAC-SHA256."""
    text = f"{part(header)}.{part(payload)}"
    return f"{text}.{part(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def signed_by(key: Private, header: Any, payload: Any) -> str:
    """The same, with the signature in the form that the library gives it (ECDSA: DER)."""
    text = f"{part(header)}.{part(payload)}"
    match key:
        case rsa.RSAPrivateKey():
            signature = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        case ec.EllipticCurvePrivateKey():
            signature = key.sign(text.encode(), ec.ECDSA(hashes.SHA256()))
        case _:
            signature = key.sign(text.encode())
    return f"{text}.{part(signature)}"
