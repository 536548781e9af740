"""Tokens whose form is refused, and their signatures."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub.auth.principal import Principal
from eventhub.auth.tokens import TOKEN_BYTES, TOKEN_DEPTH, UnknownKey
from eventhub.errors import EventHubError, InvalidToken, TokenExpired
from tests.harness.credentials import (
    claims,
    part,
    private,
    signed,
    signed_by,
    token,
)
from tests.unit.auth.token_checks import HS256, key, refused, verifier


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["b64"], "b64": False}, {"crit": []}, {"crit": None}, {"crit": "exp"},
        {"crit": ["exp"]}, {"crit": ["https://x"], "https://x": 1},
    ],
)  # fmt: skip
def test_critical_extensions_are_refused(header: dict[str, Any]) -> None:
    assert "has critical extensions" in refused(signed({**HS256, **header}, claims()))


def test_an_unencoded_payload_is_refused() -> None:
    assert refused(signed({**HS256, "b64": False}, claims()))
    header = part({**HS256, "b64": False, "crit": ["b64"]})
    assert refused(f"{header}.{json.dumps(claims())}.AAAA")
    assert refused(f"{header}..AAAA")


@pytest.mark.parametrize(
    "forge",
    [
        lambda text: text.rpartition(".")[0],
        lambda text: text.rpartition(".")[0] + ".",
        lambda text: text[:-10],
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "Q"),
        lambda text: text + ".AAAA",
        lambda text: text.replace(".", "..", 1),
        lambda text: "." + text,
        lambda text: text.partition(".")[2],
        lambda text: text + "!",
        lambda text: " " + text,
        lambda text: text + "\n",
        lambda text: text.replace(".", ".é", 1),
        lambda text: text[:-4] + "\ud800",
        lambda text: text.replace("-", "+").replace("_", "/") + "=/",
        lambda text: "",
        lambda text: "...",
        lambda text: "a",
        lambda text: "\x00" * 100,
        lambda text: "é" * 100,
    ],
)
def test_a_shortened_or_extended_token_is_refused(forge: Callable[[str], str]) -> None:
    assert refused(forge(token()))


@pytest.mark.parametrize(
    "text", ["a.b.c.d.e", f"{part({'alg': 'dir', 'enc': 'A256GCM'})}..AAAAAAAAAAAAAAAA.AAAA.AAAA"]
)
def test_an_encrypted_token_is_refused(text: str) -> None:
    assert "neither a JWT nor an API key" in refused(text)


def test_the_scheme_of_a_header_in_a_token_is_named() -> None:
    assert refused(f"Bearer {token()}").endswith("; expected it without 'Bearer '")


@pytest.mark.parametrize(
    "header", [[], "HS256", 5, None, {}, b"\xff\xfe", b"", b"{", b'{"alg":"HS256",}', b"NaN"]
)
def test_a_malformed_header_is_refused(header: Any) -> None:
    assert refused(signed(header, claims()))


@pytest.mark.parametrize("payload", [[], "ana", 5, None, b"\xff\xfe", b"", b"{", b"NaN", {}])
def test_malformed_claims_are_refused(payload: Any) -> None:
    assert refused(signed(HS256, payload))


@pytest.mark.parametrize("kind", ["header", "payload", "claim", "brackets of a header"])
def test_nesting_without_end_is_refused(kind: str) -> None:
    deep = b"[" * 2500 + b"]" * 2500
    match kind:
        case "header":
            text = signed(b'{"alg":"HS256","x":' + deep + b"}", claims())
        case "payload":
            text = signed(HS256, deep)
        case "claim":
            text = signed(HS256, b'{"sub":"ana","exp":99999999999,"x":' + deep + b"}")
        case _:
            text = f"{part(b'[' * 6000)}.{part(claims())}.AAAA"
    assert "deeper than 32 levels" in refused(text)


@pytest.mark.parametrize("levels", [TOKEN_DEPTH, TOKEN_DEPTH + 1])
@pytest.mark.parametrize("where", ["header", "claims"])
def test_the_depth_of_a_token_has_a_limit_below_that_of_the_interpreter(
    levels: int, where: str
) -> None:
    nested: dict[str, Any] = {}
    for _ in range(levels - 2):  # and the object around it
        nested = {"x": nested}
    text = signed({**HS256, "x": nested}, claims()) if where == "header" else token(x=nested)
    if levels <= TOKEN_DEPTH:
        assert verifier().verify(text).name == "ana"
    else:
        assert "deeper than 32 levels" in refused(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
@pytest.mark.parametrize("where", ["header", "claims"])
def test_a_token_that_is_not_utf_8_is_refused(encoding: str, where: str) -> None:
    """RFC 7519, 7.1. Python's parser would take all of these; brackets cannot be counted there."""
    header, payload = json.dumps(HS256), json.dumps(claims())
    text = (
        signed(header.encode(encoding), claims())
        if where == "header"
        else signed(HS256, payload.encode(encoding))
    )
    assert refused(text)


def test_a_token_of_8_kib_is_the_longest() -> None:
    short = len(token(filler=""))
    tokens = [token(filler="x" * ((TOKEN_BYTES - short) * 3 // 4 + more)) for more in range(-3, 4)]
    longest, too_long = (
        [text for text in tokens if len(text) - TOKEN_BYTES == more] for more in (0, 1)
    )
    assert verifier().verify(longest[0]).name == "ana"
    assert "has 8193 bytes; at most 8192" in refused(too_long[0])
    assert "at most 8192" in refused("x" * 100_000)


def test_the_last_of_repeated_claims_counts() -> None:
    """RFC 7519, 4."""
    good = json.dumps(claims(sub="ben"))
    assert verifier().verify(signed(HS256, f'{{"sub":"ana",{good[1:]}'.encode())).name == "ben"
    twice = b'{"alg":"none","alg":"HS256"}'
    assert verifier().verify(signed(twice, claims())).name == "ana"
    assert refused(signed(b'{"alg":"HS256","alg":"none"}', claims()))


def test_an_ecdsa_signature_of_another_form_is_refused() -> None:
    """RFC 7518, 3.4."""
    own = private("ES256")
    assert "signature" in refused(signed_by(own, {"alg": "ES256"}, claims()), key("ES256"))
    head = f"{part({'alg': 'ES256'})}.{part(claims())}"
    for signature in (b"\x00" * 64, b"\xff" * 64, b"\x00" * 63, b"\x00" * 65, b""):
        assert refused(f"{head}.{part(signature)}", key("ES256"))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=80))
def test_random_bytes_are_refused(header: bytes, payload: bytes, signature: bytes) -> None:
    for text in (
        f"{part(header)}.{part(payload)}.{part(signature)}",
        signed(header, payload),
        signed(HS256, payload),
    ):
        with pytest.raises((EventHubError, UnknownKey)):
            verifier().verify(text)


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["sub", "exp", "nbf", "iat", "iss", "aud", "jti", "channels", "cnf"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda below: (
                st.lists(below, max_size=3)
                | st.dictionaries(st.sampled_from(["subscribe", "publish", "x"]), below, max_size=3)
            ),
        ),
    )
)
def test_claims_of_any_kind_are_accepted_or_refused(payload: dict[str, Any]) -> None:
    try:
        found = verifier(issuer="i", audience="a").verify(
            signed(HS256, {**claims(iss="i", aud="a"), **payload})
        )
    except (InvalidToken, TokenExpired):
        return
    assert isinstance(found, Principal)
