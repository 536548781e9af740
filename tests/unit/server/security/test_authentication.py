"""server/security/authentication.py: the principal of a request's credential."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from eventhub.auth.keys import hash_key
from eventhub.auth.principal import ANYONE, STRANGER, CredentialKind
from eventhub.auth.tokens import TOKEN_BYTES, UnknownKey
from eventhub.config.auth_settings import AuthSettings
from eventhub.errors import (
    ConfigurationError,
    Forbidden,
    InvalidRequest,
    InvalidToken,
    KeysUnavailable,
    RateLimited,
    TokenExpired,
    Unauthorized,
)
from eventhub.hub.hub import Hub
from eventhub.server.messages.request_head import MAX_PARAMETERS
from eventhub.server.security import authentication as module
from eventhub.server.security import jwks
from eventhub.server.security.authentication import OFFER, Authentication
from tests.harness.credentials import SECRET, jwk, private, public_pem, token
from tests.harness.jwks_server import JwksServer, reply
from tests.harness.loop import in_loop

KEY, OPERATOR, OLD = "ehk_backend-0123456789", "ehk_operator-0123456789", "ehk_old-0123456789"
KEYS = [
    {"name": "backend", "hash": hash_key(KEY), "publish": ["chat.*"], "rate": 5},
    {"name": "operator", "hash": hash_key(OPERATOR), "operator": True},
    {"name": "old", "hash": hash_key(OLD), "expires": "2020-01-31"},
]
TOKENS = {"keys": [{"algorithm": "HS256", "secret": SECRET.decode()}]}


def authentication(directory: Path = Path(), **fields: Any) -> Authentication:
    return Authentication(
        AuthSettings.model_validate({"keys": KEYS, "tokens": TOKENS, **fields}), directory, Hub.now
    )


def bearer(credential: str, scheme: str = "Bearer") -> dict[bytes, bytes]:
    return {b"authorization": f"{scheme} {credential}".encode("latin-1")}


# Where credentials are


def test_without_authentication_every_request_has_the_open_principal() -> None:
    free = authentication(keys=[], tokens={})
    assert free.nobody is ANYONE
    for headers in ({}, bearer("x"), {b"authorization": b"Basic eA=="}):
        assert free.identify(headers) is ANYONE
    with pytest.raises(InvalidToken, match="no authentication configured"):
        free.authenticate(KEY)


def test_a_request_without_a_credential_is_a_stranger() -> None:
    assert authentication().identify({}) is STRANGER
    assert authentication().identify({b"cookie": b"a"}, ["eventhub.v1", ""]) is STRANGER


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
@pytest.mark.parametrize("space", ["", " ", "   "])
def test_a_header_holds_a_key_or_a_token(scheme: str, space: str) -> None:
    """RFC 9110, 11.1: schemes are case-insensitive."""
    assert authentication().identify(bearer(space + KEY, scheme)).name == "backend"
    found = authentication().identify(bearer(space + token() + space, scheme))
    assert (found.kind, found.name) == (CredentialKind.TOKEN, "ana")


def test_a_subprotocol_may_hold_a_token() -> None:
    assert authentication().identify({}, ["eventhub.v1", OFFER + token()]).name == "ana"
    assert authentication().identify({}, [OFFER + KEY]).name == "backend"


@pytest.mark.parametrize(
    ("headers", "offered"),
    [
        (bearer(KEY), [OFFER + KEY]),
        ({}, [OFFER + KEY, OFFER + KEY]),
        ({}, [OFFER + KEY, OFFER]),
        (bearer(""), [OFFER]),
    ],
)
def test_more_than_one_credential_is_refused(
    headers: dict[bytes, bytes], offered: list[str]
) -> None:
    """RFC 6750, 2: clients must not use more than one method."""
    with pytest.raises(InvalidRequest, match="more than one credential was sent"):
        authentication().identify(headers, offered)


@pytest.mark.parametrize(
    "value", ["Basic dXNlcjpwYXNz", "Digest username=x", "Bearer\tx", "BearerX y", " Bearer x"]
)
def test_an_unknown_scheme_is_refused(value: str) -> None:
    with pytest.raises(
        Unauthorized, match=r"has the scheme .*; expected Bearer|has no scheme"
    ) as refused:
        authentication().identify({b"authorization": value.encode()})
    assert "dXNlcjpwYXNz" not in str(refused.value)


@pytest.mark.parametrize("value", [KEY, KEY + KEY, token()[:60], "", "Bearer"])
def test_a_credential_without_a_scheme_is_refused_and_not_shown(value: str) -> None:
    with pytest.raises(Unauthorized, match="Authorization has no scheme; expected Bearer"):
        authentication().identify({b"authorization": value.encode()})


@pytest.mark.parametrize(
    "credential",
    [
        "",
        " ",
        "x",
        KEY + "x",
        KEY.upper(),
        "ehk_",
        "null",
        "a b",
        "\xff\xfe",
        "é.é.é",
        token()[:-3],
    ],
)
def test_a_bad_credential_is_refused_even_where_strangers_are_allowed(credential: str) -> None:
    with pytest.raises(InvalidToken) as refused:
        authentication().identify(bearer(credential))
    assert len(credential) < 12 or credential not in str(refused.value)


@pytest.mark.parametrize("offered", [[], [OFFER]])
def test_a_huge_credential_is_refused(offered: list[str]) -> None:
    huge = "x" * (TOKEN_BYTES + 1)
    with pytest.raises(InvalidToken, match="8193 bytes; at most 8192"):
        authentication().identify(
            {} if offered else bearer(huge), [OFFER + huge] if offered else []
        )


def test_an_api_key_has_the_rights_that_the_configuration_gives() -> None:
    found = authentication().identify(bearer(KEY))
    assert (found.kind, found.rate, found.operator, found.expires) == (
        CredentialKind.KEY,
        5,
        False,
        None,
    )
    with pytest.raises(TokenExpired):
        authentication().identify(bearer(OLD))


# In the address


def test_a_query_without_a_credential_is_unchanged() -> None:
    for query in (b"", b"since=-5&channel=a", b"x=%ff"):
        assert authentication().move_query_token(query, {}) == (query, {})
    assert authentication().move_query_token(b"not_access_token=1", {}) == (
        b"not_access_token=1",
        {},
    )


def test_a_credential_in_the_query_is_refused_unless_configured() -> None:
    for given in (authentication(), authentication(keys=[], tokens={})):
        with pytest.raises(
            InvalidRequest, match="expected it in the header Authorization"
        ) as refused:
            given.move_query_token(b"since=-5&access_token=" + KEY.encode(), {})
        assert KEY not in str(refused.value)


def test_a_configured_query_credential_becomes_a_header() -> None:
    found = authentication(query=True)
    query, headers = found.move_query_token(
        b"channel=chat.a&access_token=%65hk_backend-0123456789&since=-5&member=%C3%A9",
        {b"host": b"x"},
    )
    assert (query, headers[b"host"]) == (b"channel=chat.a&since=-5&member=%C3%A9", b"x")
    assert found.identify(headers).name == "backend"


def test_several_credentials_in_query_and_header_are_refused() -> None:
    for query, headers in (
        (b"access_token=a&access_token=b", {}),
        (b"access_token=a", bearer("a")),
    ):
        with pytest.raises(InvalidRequest, match="more than one credential"):
            authentication(query=True).move_query_token(query, headers)
    _, lifted = authentication(query=True).move_query_token(b"access_token=a", {})
    with pytest.raises(InvalidRequest, match="more than one credential"):
        authentication(query=True).identify(lifted, [OFFER + "a"])


@pytest.mark.parametrize(
    "query",
    [
        b"access_token=%ff",
        b"access_token=",
        b"access_token",
        b"access_token=%00",
        b"access_token=%F0%9F%98%80",
    ],
)
def test_a_malformed_query_credential_is_a_bad_credential(query: bytes) -> None:
    found = authentication(query=True)
    _, headers = found.move_query_token(query, {})
    with pytest.raises(InvalidToken):
        found.identify(headers)


def test_too_many_query_parameters_are_refused() -> None:
    """Without this check, the library's own error would be a fault of the server."""
    for given in (authentication(), authentication(query=True)):
        with pytest.raises(InvalidRequest, match="more than 256 parameters"):
            given.move_query_token(b"access_token=x" + b"&a" * MAX_PARAMETERS, {})


# Operators


def test_an_operator_needs_a_key_with_operator_true() -> None:
    async def admit(given: Authentication, headers: dict[bytes, bytes]) -> str:
        return (await given.admit_operator(headers)).name

    assert asyncio.run(admit(authentication(), bearer(OPERATOR))) == "operator"
    assert asyncio.run(admit(authentication(keys=[], tokens={}), {})) == ""
    with pytest.raises(Unauthorized, match="operator's API key"):
        asyncio.run(admit(authentication(), {}))
    for credential in (
        KEY,
        token(),
        token(channels={"subscribe": [">"], "publish": [">"], "presence": [">"]}, operator=True),
    ):
        with pytest.raises(Forbidden, match="is no operator"):
            asyncio.run(admit(authentication(), bearer(credential)))


# Keys of tokens


def test_key_files_are_relative_to_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "public.pem").write_bytes(public_pem(private("ES256")))
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    keys = [
        {"algorithm": "ES256", "id": "e", "file": "public.pem"},
        {"algorithm": "HS256", "file": str(tmp_path / "secret")},
    ]
    found = authentication(tmp_path, tokens={"keys": keys})
    assert found.identify(bearer(token("ES256", header={"kid": "e"}))).name == "ana"
    assert found.identify(bearer(token())).name == "ana"


def test_the_error_for_an_unusable_key_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"s3cret")
    for file, algorithm, message in (
        ("missing.pem", "ES256", "cannot be read: No such file"),
        (".", "RS256", "cannot be read: Is a directory"),
        ("short", "HS256", "6 bytes; expected at least 32"),
        ("short", "EdDSA", "not the PEM of a public key"),
    ):  # fmt: skip
        keys = [TOKENS["keys"][0], {"algorithm": algorithm, "id": "x", "file": file}]
        with pytest.raises(
            ConfigurationError, match=rf"^auth\.tokens\.keys\.1: .*{message}"
        ) as refused:
            authentication(tmp_path, tokens={"keys": keys})
        assert "s3cret" not in str(refused.value)


def test_without_a_key_set_a_token_of_an_unknown_key_is_refused() -> None:
    text = token(header={"kid": "other"})
    with pytest.raises(UnknownKey):
        authentication().authenticate(text)
    with pytest.raises(
        InvalidToken, match="names the key 'other'; expected one that is configured"
    ):
        asyncio.run(authentication().admit(bearer(text)))
    assert authentication().unready() is None


def fetching(url: str) -> Authentication:
    """Tokens of a key set, and of a key of its own."""
    tokens = {
        "keys": [{**TOKENS["keys"][0], "id": "own"}],
        "jwks": url,
        "issuer": "i",
        "audience": "a",
    }
    return authentication(tokens=tokens)


def theirs(key_id: str, number: int = 0) -> dict[bytes, bytes]:
    return bearer(
        token("RS256", private("RS256", number), header={"kid": key_id}, iss="i", aud="a")
    )


@in_loop
async def test_an_unknown_key_is_looked_up_in_the_key_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "COOLDOWN", 0.0)
    with JwksServer(jwk("RS256", "one", 1)) as server:
        found = fetching(server.url)
        assert found.key_set is not None
        task = asyncio.create_task(found.key_set.run())
        assert (await found.admit(theirs("one", 1))).name == "ana"
        assert found.unready() is None
        server.keys[:] = [jwk("RS256", "two", 2)]
        assert (await found.admit(theirs("two", 2))).name == "ana"
        with pytest.raises(InvalidToken, match="'one'"):
            await found.admit(theirs("one", 1))  # remembered, but its key has gone
        own = bearer(token(header={"kid": "own"}, iss="i", aud="a"))
        assert (await found.admit(own)).name == "ana", "the configured key stays"
        with pytest.raises(InvalidToken, match="expected RS256"):
            await found.admit(bearer(token(header={"kid": "two"}, iss="i", aud="a")))
        task.cancel()


@in_loop
async def test_while_the_key_set_cannot_be_fetched_a_token_is_not_called_invalid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Clients never come back if their token is called invalid."""
    monkeypatch.setattr(jwks, "COOLDOWN", 0.0)
    with JwksServer(jwk("RS256", "one", 1)) as server:
        server.respond = lambda request: reply(request, b"", 500)
        found = fetching(server.url)
        assert found.key_set is not None
        assert found.unready() == "the JSON Web Key Set has not been fetched yet"
        task = asyncio.create_task(found.key_set.run())
        with pytest.raises(KeysUnavailable) as refused:
            await found.admit(theirs("one", 1))
        assert refused.value.retry_after == 1
        assert found.unready() == "the JSON Web Key Set cannot be fetched: HTTPError"
        assert (
            await found.admit(bearer(token(header={"kid": "own"}, iss="i", aud="a")))
        ).name == "ana"
        server.respond = None
        assert (await found.admit(theirs("one", 1))).name == "ana"
        with pytest.raises(InvalidToken):
            await found.admit(theirs("other", 1))
        task.cancel()


@in_loop
async def test_a_key_set_that_was_just_fetched_may_lack_new_keys() -> None:
    """Tokens with invented key ids use up the one fetch in ten seconds. A token with a new key must
    not suffer.
    """
    with JwksServer(jwk("RS256", "one", 1)) as server:
        found = fetching(server.url)
        assert found.key_set is not None
        task = asyncio.create_task(found.key_set.run())
        assert (await found.admit(theirs("one", 1))).name == "ana"
        server.keys[:] = [jwk("RS256", "two", 2)]
        with pytest.raises(KeysUnavailable, match="was fetched a moment ago"):
            await found.admit(theirs("two", 2))
        assert len(server.requests) == 1
        task.cancel()


def test_bad_credentials_of_an_address_are_limited_and_verified_ones_never() -> None:
    clock = [1_000_000]
    found = Authentication(
        AuthSettings.model_validate({"keys": KEYS, "tokens": TOKENS}),
        Path(),
        lambda: clock[0],
        bad_credentials=2,
    )
    good = bearer(KEY)
    found.identify(good, address="192.0.2.1")
    refused = []
    for number in range(30):
        with pytest.raises((InvalidToken, RateLimited)) as caught:
            found.identify(bearer(f"a.b.{number}"), address="192.0.2.1")
        refused.append(caught.value.code)
    assert 10 <= refused.count("invalid_token") <= 11
    assert isinstance(caught.value, RateLimited)
    assert caught.value.limit == "bad_credentials"
    assert caught.value.retry_after == pytest.approx(0.5, abs=0.5)
    assert found.identify(good, address="192.0.2.1").name
    with pytest.raises(InvalidToken):
        found.identify(bearer("a.b.c"), address="192.0.2.2")
    clock[0] += 1000
    with pytest.raises(InvalidToken):
        found.identify(bearer("a.b.c"), address="192.0.2.1")


def test_tokens_of_unknown_keys_count_as_bad_credentials() -> None:
    found = Authentication(
        AuthSettings.model_validate({"keys": KEYS, "tokens": TOKENS}),
        Path(),
        lambda: 1_000_000,
        bad_credentials=1,
    )
    codes = []
    for number in range(9):
        text = token(header={"kid": f"other{number}"})
        with pytest.raises((UnknownKey, RateLimited)) as caught:
            found.identify(bearer(text), address="192.0.2.1")
        codes.append(type(caught.value))
    assert (codes[0], codes[-1]) == (UnknownKey, RateLimited)


def test_the_addresses_of_an_ipv6_customer_count_as_one() -> None:
    found = Authentication(
        AuthSettings.model_validate({"keys": KEYS, "tokens": TOKENS}),
        Path(),
        lambda: 1_000_000,
        bad_credentials=1,
    )
    codes = []
    for number in range(9):
        with pytest.raises((InvalidToken, RateLimited)) as caught:
            found.identify(bearer("a.b.c"), address=f"2001:db8::{number + 1}")
        codes.append(caught.value.code)
    assert (codes[0], codes[-1], len(found._failures)) == ("invalid_token", "rate_limited", 1)


def test_the_addresses_whose_bad_credentials_are_counted_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ADDRESSES", 3)
    found = Authentication(
        AuthSettings.model_validate({"keys": KEYS, "tokens": TOKENS}), Path(), lambda: 1_000_000
    )
    for number in range(9):
        with pytest.raises(InvalidToken):
            found.identify(bearer("a.b.c"), address=f"192.0.2.{number}")
    assert len(found._failures) == 3
