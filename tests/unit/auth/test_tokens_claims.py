"""The claims of a token: times, names, audience, grants."""

import json
import time
from typing import Any

import pytest

from eventhub.auth.principal import MEMBER_BYTES
from eventhub.auth.tokens import LATEST
from eventhub.errors import InvalidToken, TokenExpired
from tests.harness.credentials import (
    claims,
    signed,
    token,
)
from tests.unit.auth.token_checks import HS256, refused, verifier


@pytest.mark.parametrize("exp", [1, 0, -5, 1.5, True, 1_700_000_000])
def test_an_expired_token_says_so(exp: float) -> None:
    with pytest.raises(TokenExpired):
        verifier().verify(signed(HS256, claims(exp=exp)))


@pytest.mark.parametrize("exp", [None, "", "99999999999", "soon", [], {}, 1 << 41, 1e300, 10**400])
def test_an_exp_that_is_no_time_is_refused(exp: Any) -> None:
    with pytest.raises((InvalidToken, TokenExpired)):
        verifier().verify(signed(HS256, {**claims(), "exp": exp}))


def test_times_until_the_year_9999_have_a_date() -> None:
    assert verifier().verify(token(exp=LATEST - 1)).expires == 253_402_300_799_000
    assert "not a time in seconds" in refused(token(exp=LATEST))


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


@pytest.mark.parametrize("claim", ["sub", "jti"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "a boolean"), (5, "a number"), (1.5, "a number"), ({"a": 1}, "an object"),
        ([], "an array"), ("", "a text of 0 characters"), ("x" * 201, "a text of 201 characters"),
        ("a\n", "a text of 2 characters, not all of which can be printed"),
    ],
)  # fmt: skip
def test_the_error_for_a_name_says_what_was_received(claim: str, value: Any, kind: str) -> None:
    assert refused(signed(HS256, {**claims(), claim: value})) == (
        f"the token's {claim} is {kind}; expected a text of 1 to 200 printable characters"
    )


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
        (5, "channels is a number; expected an object"),
        ({"read": ["chat.*"]}, "channels has 'read'; expected "),
        ({"publish": "chat.*"}, "channels.publish is no array; expected"),
    ],
)  # fmt: skip
def test_the_error_for_malformed_grants_says_what_was_received(channels: Any, what: str) -> None:
    assert what in refused(signed(HS256, claims(channels=channels)))


def test_the_data_of_members_is_kept_as_compact_json() -> None:
    data = {"name": "Ana é", "roles": ["a", None, 1.5]}
    found = verifier().verify(token(member_data=data)).member_data
    assert found == '{"name":"Ana é","roles":["a",null,1.5]}'.encode()
    assert verifier().verify(token()).member_data is None
    assert verifier().verify(token(member_data=None)).member_data is None
    assert verifier().verify(token(member_data={})).member_data == b"{}"


def test_the_data_of_members_is_as_large_as_its_bound_and_no_larger() -> None:
    fits, over = ({"a": "x" * (MEMBER_BYTES - size)} for size in (8, 7))
    assert len(verifier().verify(token(member_data=fits)).member_data or b"") == MEMBER_BYTES
    assert "member_data has 4097 bytes; expected an object of at most 4096 bytes" in refused(
        token(member_data=over)
    )


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("Ana", "a text"),
        (["Ana"], "an array"),
        (7, "a number"),
        (True, "a boolean"),
        ({"name": "\ud800"}, "cannot be written as JSON"),
        ({"number": 2**65}, "cannot be written as JSON"),
    ],
)
def test_data_of_members_that_is_no_object_is_refused(data: Any, shown: str) -> None:
    reason = refused(token(member_data=data))
    assert "claim member_data" in reason
    assert shown in reason
