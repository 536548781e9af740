"""What errors say: what was received, what was expected, and which setting bounds it. Where each is
raised is tested beside it.
"""

import jwt
import orjson
import pytest

from eventhub.auth.grants import Action, Grants
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.auth.tokens import TokenVerifier
from eventhub.auth.verification_keys import VerificationKey
from eventhub.config.loader import load
from eventhub.errors import (
    ConfigurationError,
    EventHubError,
    InvalidChannel,
    InvalidEvent,
    InvalidToken,
)
from eventhub.events.channel_names import check_name
from tests.harness.builders import channel_type

SECRET = b"x" * 32


def refused_token(**claims: object) -> str:
    token = jwt.api_jws.encode(
        orjson.dumps({"sub": "ana", "exp": 4_000_000_000, **claims}), SECRET, "HS256"
    )
    with pytest.raises(InvalidToken) as caught:
        TokenVerifier([VerificationKey(None, "HS256", SECRET)], None, None, 0).verify(token)
    return caught.value.message


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"sub": 42},
         "the token's sub is a number; expected a text of 1 to 200 printable characters"),
        ({"sub": None}, "it has no claim sub; sub and exp are required"),
        ({"sub": ["ana"]}, "the token's sub is an array; expected a text"),
        ({"sub": ""}, "the token's sub is a text of 0 characters; expected a text of 1 to 200"),
        ({"sub": "a\nb"},
         "the token's sub is a text of 3 characters, not all of which can be printed"),
        ({"jti": 42}, "the token's jti is a number; expected a text"),
        ({"exp": "soon"}, "its exp or nbf is no time, which is a number of seconds"),
        ({"nbf": "soon"}, "its exp or nbf is no time"),
        ({"aud": "x"}, "its audience (aud) is not auth.tokens.audience"),
    ],
)  # fmt: skip
def test_a_claim_of_another_kind_is_told_by_name_and_kind(
    claims: dict[str, object], said: str
) -> None:
    assert said in refused_token(**claims)


@pytest.mark.parametrize("pattern", ["iot.>", "chat.*", ">", "*"])
def test_a_pattern_where_a_channel_is_meant_is_told_what_patterns_are_for(pattern: str) -> None:
    with pytest.raises(InvalidChannel, match="patterns are for subscriptions and for grants"):
        check_name(pattern)


def test_an_event_that_does_not_fit_is_told_where_its_schema_is() -> None:
    with pytest.raises(InvalidEvent) as caught:
        channel_type().canonical(b"{}")
    assert (
        caught.value.message
        == "the event does not fit its channel type: 1 fault; its schema is at /v1/types/type"
    )
    assert caught.value.details


@pytest.mark.parametrize(
    ("kind", "where"),
    [
        (CredentialKind.TOKEN, "its claim channels.publish"),
        (CredentialKind.KEY, "publish of its entry in auth.keys"),
    ],
)
def test_whoever_has_no_grant_is_told_where_it_would_stand(
    kind: CredentialKind, where: str
) -> None:
    with pytest.raises(EventHubError) as caught:
        Principal(kind, "ana", Grants({})).authorize(Action.PUBLISH, "chat.a", frozenset())
    assert caught.value.message == (
        f"{kind} 'ana' has no grant for publishing to 'chat.a'; "
        f"expected a pattern for it in {where}"
    )


def fault(**fields: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(None, fields)
    return str(caught.value)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("unix:/run/x", "it listens on TCP alone"), ("/run/x", "it listens on TCP alone"),
        ("http://0.0.0.0", "without a scheme or a path"),
        ("127.0.0.1:8000",
         "holds a port; expected the address alone, "
         "and the port apart (port, --port 8000, EVENTHUB_PORT)"),
        ("localhost:80", "--port 80"), ("[::1]:8000", "--port 8000"),
        ("[::1]", "stands in brackets; expected the address alone, such as ::1"),
        ("1.2.3", "is neither an address"), ("a b", "is neither an address"),
        ("*", "is neither an address"),
    ],
)  # fmt: skip
def test_a_host_that_is_no_host_is_told_what_was_meant(host: str, said: str) -> None:
    assert said in fault(host=host)
    assert f"received {host!r}" in fault(host=host)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "::1",
        "::",
        "0.0.0.0",
        "fe80::1%lo",
        "hub_1.example.",
        "node-7",
        "::ffff:127.0.0.1",
    ],
)
def test_a_host_is_an_address_or_a_name(host: str) -> None:
    assert load(None, {"host": host}).host == host


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        ("*", "such as 10.0.0.7 or 10.0.0.0/8; 0.0.0.0/0 and ::/0 trust every peer"),
        ("nginx", "expected the address of a proxy"),
        ("10.0.0.1/8", "has bits set beyond its prefix; expected 10.0.0.0/8"),
        ("10.0.0.0/33", "expected the address of a proxy"),
    ],
)  # fmt: skip
def test_a_proxy_that_is_no_network_is_told_what_one_is(proxy: str, said: str) -> None:
    assert said in fault(proxies=[proxy])
    assert f"received {proxy!r}" in fault(proxies=[proxy])


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"channels": {"a.b": {}}},
         "channels.a.b: expected a channel type's name, the first part of its channels'"),
        ({"channels": {"a": {"history": 5}}},
         "channels.a.history: expected keys and their values, as in {key: value}, received '5'"),
        ({"channels": []},
         "channels: expected channel types by name, as in {chat: {payload: chat}}"),
        ({"heartbeat": "25s"}, "heartbeat: expected a number, without a unit, received '25s'"),
        ({"port": "80a"}, "port: expected a whole number, without a unit"),
        ({"auth": {"keys": [{"name": "a", "hash": "abc"}]}},
         "auth.keys.0.hash: expected sha256: and 64 digits from 0 to f"),
    ],
)  # fmt: skip
def test_a_setting_of_another_form_is_told_which_one_is_meant(
    fields: dict[str, object], said: str
) -> None:
    assert said in fault(**fields)
