"""auth/tokens.py: which tokens are valid, and every way to forge one (RFC 7515, 7519, 8725)."""

import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub.auth.grants import Action
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.auth.tokens import TOKEN_BYTES, TOKEN_DEPTH, TokenVerifier, UnknownKey
from eventhub.auth.verification_keys import ALGORITHMS, VerificationKey, load_key
from eventhub.errors import EventHubError, InvalidToken, TokenExpired
from tests.harness.credentials import (
    SECRET,
    claims,
    part,
    private,
    private_pem,
    public_pem,
    signed,
    signed_by,
    token,
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


# Good ones


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


# Whose key


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


# Form


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["b64"], "b64": False}, {"crit": []}, {"crit": None}, {"crit": "exp"},
        {"crit": ["exp"]}, {"b64": False}, {"crit": ["https://x"], "https://x": 1},
    ],
)  # fmt: skip
def test_critical_extensions_are_refused(header: dict[str, Any]) -> None:
    assert refused(signed({**HS256, **header}, claims()))


def test_an_unencoded_payload_is_refused() -> None:
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
    longest = token(filler="x" * ((TOKEN_BYTES - short) * 3 // 4 - 2))
    assert TOKEN_BYTES - 8 < len(longest) <= TOKEN_BYTES
    assert verifier().verify(longest).name == "ana"
    assert "at most 8192" in refused(token(filler="x" * ((TOKEN_BYTES - short) * 3 // 4 + 4)))
    assert "at most 8192" in refused("x" * 100_000)


def test_the_last_of_repeated_claims_counts() -> None:
    """RFC 7519, 4."""
    good = json.dumps(claims(sub="ben"))
    assert verifier().verify(signed(HS256, f'{{"sub":"ana",{good[1:]}'.encode())).name == "ben"
    twice = b'{"alg":"none","alg":"HS256"}'
    assert verifier().verify(signed(twice, claims())).name == "ana"
    assert refused(signed(b'{"alg":"HS256","alg":"none"}', claims()))


# Claims


@pytest.mark.parametrize("exp", [1, 0, -5, 1.5, True, 1_700_000_000])
def test_an_expired_token_says_so(exp: float) -> None:
    with pytest.raises(TokenExpired):
        verifier().verify(signed(HS256, claims(exp=exp)))


@pytest.mark.parametrize("exp", [None, "", "99999999999", "soon", [], {}, 1 << 41, 1e300, 10**400])
def test_an_exp_that_is_no_time_is_refused(exp: Any) -> None:
    with pytest.raises((InvalidToken, TokenExpired)):
        verifier().verify(signed(HS256, {**claims(), "exp": exp}))


@pytest.mark.parametrize("claim", ["exp", "nbf"])
@pytest.mark.parametrize(
    "value",
    [b"NaN", b"Infinity", b"-Infinity", b"1" * 5000, b"1e999", b'"1e5"', b"null", b"[]", b"false"],
)
def test_times_of_the_wrong_type_never_break_the_verifier(claim: str, value: bytes) -> None:
    rest = json.dumps(claims(**{claim: None})).encode()
    try:
        verifier().verify(signed(HS256, b'{"%b":%b,%b' % (claim.encode(), value, rest[1:])))
    except (InvalidToken, TokenExpired):
        pass
    else:
        assert (claim, value) in (("nbf", b"false"), ("nbf", b"null")), (
            "nbf counts as 0, or as absent"
        )


def test_a_token_that_is_not_valid_yet_is_refused_and_iat_is_ignored() -> None:
    assert "not valid yet" in refused(token(nbf=int(time.time()) + 100))
    assert verifier().verify(token(iat=int(time.time()) + 100)).name == "ana"


@pytest.mark.parametrize("sub", ["a", "x" * 200, "é", "auth0|5f7c", "ana maria", "key:ana", "日本"])
def test_a_subject_is_printable_text(sub: str) -> None:
    assert verifier().verify(token(sub=sub)).name == sub


@pytest.mark.parametrize(
    "sub",
    [
        None,
        "",
        5,
        True,
        [],
        {"a": 1},
        "x" * 201,
        "a\x00",
        "a\nb",
        "\x1b[31m",
        "a\u2028",
        "\ud800",
        "a\u202eb",
    ],
)
def test_any_other_name_is_refused(sub: Any) -> None:
    assert refused(signed(HS256, {**claims(), "sub": sub}))


@pytest.mark.parametrize("jti", ["", 5, [], "x" * 201, "a\x00", "\ud800"])
def test_an_id_that_is_no_text_is_refused(jti: Any) -> None:
    assert refused(signed(HS256, claims(jti=jti)))


def test_the_subject_is_required() -> None:
    assert "it has no claim sub" in refused(token(sub=None))
    assert "it has no claim exp" in refused(token(exp=None))


@pytest.mark.parametrize(
    "issuer", [None, "", "other", "https://issuer.example/", 5, ["https://issuer.example"]]
)
def test_the_issuer_is_the_configured_one(issuer: Any) -> None:
    assert (
        verifier(issuer="https://issuer.example").verify(token(iss="https://issuer.example")).name
        == "ana"
    )
    assert "iss" in refused(signed(HS256, claims(iss=issuer)), issuer="https://issuer.example")


@pytest.mark.parametrize("audience", ["eventhub", ["eventhub"], ["other", "eventhub"]])
def test_the_audience_is_or_holds_the_configured_one(audience: Any) -> None:
    assert verifier(audience="eventhub").verify(token(aud=audience)).name == "ana"


@pytest.mark.parametrize(
    "audience",
    [
        None,
        "",
        "other",
        "eventhub2",
        "eventhu",
        [],
        ["other"],
        [5],
        5,
        {"eventhub": 1},
        [["eventhub"]],
    ],
)
def test_any_other_audience_is_refused(audience: Any) -> None:
    assert refused(signed(HS256, claims(aud=audience)), audience="eventhub")


def test_a_token_with_an_audience_is_refused_where_none_is_configured() -> None:
    """RFC 7519, 4.1.3: a principal that does not identify itself with a value in `aud` must reject
    it.
    """
    assert "none is configured" in refused(token(aud="another service"))


@pytest.mark.parametrize(
    "channels",
    [
        5, "chat.*", ["chat.*"], True, {"subscribe": "chat.*"}, {"subscribe": [5]},
        {"subscribe": ["a b"]}, {"subscribe": [None]}, {"admin": ["chat.*"]},
        {"subscribe": {"chat": 1}}, {"subscribe": [f"a{n}" for n in range(101)]},
        {"subscribe": None},
    ],
)  # fmt: skip
def test_malformed_grants_are_refused(channels: Any) -> None:
    assert "channels" in refused(signed(HS256, claims(channels=channels)))


@pytest.mark.parametrize(
    ("channels", "what"),
    [
        (["chat.*"], "channels is an array; expected an object"),
        ("chat.*", "channels is a text; expected an object"),
        ({"read": ["chat.*"]}, "channels has 'read'; expected "),
        ({"publish": "chat.*"}, "channels.publish is no array; expected"),
    ],
)  # fmt: skip
def test_the_error_for_malformed_grants_says_what_was_received(channels: Any, what: str) -> None:
    assert what in refused(signed(HS256, claims(channels=channels)))


# Signatures


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


# Keys


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


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(ValueError, match="RS512 needs another key"):
        load_key(None, "RS512", public_pem(private("RS256")))
