"""Messages that are no commands: no JSON, no object, too large, too deep."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventhub.auth.grants import Action, Grants
from eventhub.auth.principal import STRANGER, CredentialKind, Principal
from eventhub.session.interfaces import SessionLimits
from tests.harness.builders import Guest
from tests.unit.session.session_client import (
    LIMITS,
    Client,
)

thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize(
    "message",
    [b"", b" ", b"{", b"ping", b'{"type":"ping"} {}', b'{"type":"ping","ref":NaN}',
     b'\xef\xbb\xbf{"type":"ping"}', b'{"type":"\xff"}', rb'{"type":"ping","ref":"\ud800"}',
     b"'ping'", b"\x00"],
)  # fmt: skip
def test_a_message_that_is_not_json_is_answered_without_a_ref(message: bytes) -> None:
    (reply,) = Client().raw(message)
    assert (reply["type"], reply["code"], "ref" in reply) == ("error", "invalid_json", False)


@pytest.mark.parametrize("message", [b"ping", b" ping {", b'"{', b""])
def test_a_message_that_does_not_begin_as_an_object_is_told_what_to_send(message: bytes) -> None:
    (reply,) = Client().raw(message)
    expected = 'expected an object with a type, such as {"type":"ping"}'
    assert reply["message"] == f"the message is not JSON; {expected}"


@pytest.mark.parametrize("message", [b"{", b' \n{"type": pin}', b'{"type":"ping",}'])
def test_a_message_that_begins_as_an_object_is_told_where_it_is_broken(message: bytes) -> None:
    (reply,) = Client().raw(message)
    assert "column" in reply["message"]


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (b"[]", "array"),
        (b'"ping"', "string"),
        (b"5", "number"),
        (b"5.5", "number"),
        (b"true", "boolean"),
        (b"null", "null"),
    ],
)
def test_the_error_for_a_message_that_is_no_object_names_it(message: bytes, name: str) -> None:
    (reply,) = Client().raw(message)
    assert reply["code"] == "invalid_frame"
    assert f"is a JSON {name};" in reply["message"]


@pytest.mark.parametrize(
    ("given_type", "shown"),
    [("pong", "'pong'"), ("", "''"), ("Ping", "'Ping'"), ("x" * 60_000, "'xxx"),
     (5, "a JSON number"), (True, "a JSON boolean"), ([], "a JSON array"), ({}, "a JSON object"),
     (None, "missing")],
)  # fmt: skip
def test_an_unknown_type_is_shown_and_the_known_ones_are_named(given_type: Any, shown: str) -> None:
    reply = Client().refused(type=given_type)
    assert reply["code"] == "invalid_frame"
    assert reply["message"].startswith(f"the message's type is {shown}")
    assert reply["message"].endswith(
        "; expected one of subscribe, unsubscribe, update, publish, auth, ping"
    )
    assert len(reply["message"]) < 200


def test_a_stranger_may_send_small_messages_until_it_is_known() -> None:
    client = Client(limits=replace(LIMITS, stranger_bytes=200))
    client.guest.principal = STRANGER
    message = b'{"type":"ping"}'.ljust(200)
    assert client.raw(message) == [{"type": "pong"}]
    assert client.line.failed is None
    assert client.send(type="publish", channel="free", data="x" * 200) == []
    error = client.line.failed
    assert error is not None
    assert (error.code, error.limit) == ("payload_too_large", "stranger_bytes")
    assert "limits.stranger_bytes" in error.message


def test_an_authenticated_client_may_send_large_messages_even_while_its_token_is_checked() -> None:
    guest = Guest(principal=STRANGER)
    client = Client(limits=replace(LIMITS, stranger_bytes=200), guest=guest)
    client.send(type="auth", token="unknown key")
    client.send(type="publish", channel="free", data="x" * 200)
    ((_, decided),) = guest.undecided
    guest.principal = Principal(CredentialKind.TOKEN, "ana", Grants({Action.PUBLISH: [">"]}))
    decided(guest.principal)
    assert len(client.submitted) == 1
    client.send(type="publish", channel="free", data="x" * 200)
    assert len(client.submitted) == 2


def test_nothing_of_the_payload_comes_back_in_an_error() -> None:
    client = Client()
    client.send(type="publish", channel="chat", data={"sender": "s3cret", "text": 5})
    client.session.receive(b'{"type":"publish","channel":"chat","data":"s3cret"}')
    client.session.receive(b'{"type":"publish","channel":"chat","data":1,"key":["s3cret"]}')
    assert "s3cret" not in json.dumps(client.heard())


def nested(depth: int) -> bytes:
    return b'{"type":"publish","channel":"free","data":%b%b}' % (b"[" * depth, b"]" * depth)


def test_data_nests_as_deep_as_the_limit_and_no_deeper() -> None:
    client = Client()
    assert client.raw(nested(LIMITS.depth)) == []
    assert client.submitted[0][1].data == b"[[[[]]]]"
    (reply,) = client.raw(nested(LIMITS.depth + 1))
    assert (reply["code"], "ref" in reply) == ("too_deep", False)


@pytest.mark.parametrize("depth", [200, 201, 1000, 100_000])
def test_at_the_largest_limit_any_depth_is_answered(depth: int) -> None:
    client = Client(limits=SessionLimits(10**6, 3, 25.0, depth=200, stranger_bytes=10**6))
    replies = client.raw(nested(depth))
    if depth == 200:
        assert len(client.submitted) == 1
    else:
        assert [reply["code"] for reply in replies] == ["too_deep"]


@thorough
@given(st.binary(max_size=80))
def test_any_bytes_are_answered_and_never_raise(message: bytes) -> None:
    assert all(reply["type"] in ("error", "pong") for reply in Client().raw(message))
