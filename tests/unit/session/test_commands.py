"""The commands that a client may send, and what is wrong with those that do not fit."""

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from eventhub.events.validation_errors import MAX_FAULTS
from eventhub.session.commands import COMMANDS, Publish, Subscribe
from tests.unit.session.session_client import (
    PROTOCOL,
    Client,
)

thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_the_commands_are_those_of_the_protocol() -> None:
    table = PROTOCOL.partition("### Client to server")[2].partition("### ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE))
    assert list(rows) == list(COMMANDS)
    for name, fields in rows.items():
        documented = set(re.findall(r"`(\w+)`", fields)) - {"latest"}
        assert documented == set(COMMANDS[name].model_fields) - {"type", "ref"}


@pytest.mark.parametrize(
    "ref", [0, 1, -1, 2**53, 2**63, 2**64 - 1, "", "a", "x" * 64, "🦊" * 64, '"\n']
)
def test_an_integer_or_a_string_is_repeated_as_ref(ref: Any) -> None:
    assert Client().send(type="ping", ref=ref) == [{"type": "pong", "ref": ref}]


def test_no_ref_and_a_null_ref_are_the_same() -> None:
    assert Client().send(type="ping", ref=None) == Client().send(type="ping") == [{"type": "pong"}]


@pytest.mark.parametrize("ref", [True, False, 1.0, 1.5, [], {}, "x" * 65], ids=repr)
def test_any_other_ref_is_an_invalid_frame_and_is_not_repeated(ref: Any) -> None:
    client = Client()
    reply = client.refused(type="ping", ref=ref)
    assert reply["code"] == "invalid_frame"
    assert "ref" not in reply


def test_an_integer_beyond_64_bits_is_no_ref() -> None:
    (reply,) = Client().raw(b'{"type":"ping","ref":18446744073709551616}')
    assert (reply["code"], "ref" in reply) == ("invalid_json", False)


@pytest.mark.parametrize("ref", [True, 1.5, "x" * 65], ids=repr)
def test_a_fault_of_the_ref_points_at_the_ref(ref: Any) -> None:
    assert set(Client().invalid(type="ping", ref=ref)) == {"/ref"}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "nonsense"}, "invalid_frame"),
        ({}, "invalid_frame"),
        ({"type": "ping", "x": 1}, "invalid_frame"),
        ({"type": "subscribe", "channel": "zzz"}, "unknown_channel"),
        ({"type": "subscribe", "channel": "a b"}, "invalid_channel"),
        ({"type": "subscribe", "channel": "chat", "since": "x"}, "invalid_since"),
        ({"type": "unsubscribe", "channel": "chat"}, "not_subscribed"),
        ({"type": "update", "channel": "chat", "data": {}}, "not_subscribed"),
        ({"type": "publish", "channel": "logs", "data": 1}, "forbidden"),
        ({"type": "publish", "channel": "chat", "data": 1}, "invalid_event"),
    ],
)
def test_an_error_carries_the_ref_of_its_message(message: dict[str, Any], code: str) -> None:
    reply = Client().refused(**message, ref="r1")
    assert (reply["ref"], reply["code"]) == ("r1", code)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_field_is_an_error_that_points_at_it(name: str) -> None:
    needed: dict[str, dict[str, Any]] = {
        "subscribe": {"channel": "chat"}, "unsubscribe": {"channel": "chat"},
        "update": {"channel": "chat", "data": {}},
        "publish": {"channel": "free", "data": 1}, "auth": {"token": "x"}, "ping": {},
    }  # fmt: skip
    client = Client()
    assert client.invalid(type=name, **needed[name], **{"a/b": 1}) == ["/a~1b"]
    rejected = [("rejected", "free invalid_frame")] if name == "publish" else []
    assert client.node.calls == rejected
    assert client.submitted == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"presence": "yes"}, "Input should be true, false or 'count', received a string"),
        ({"presence": 1}, "Input should be true, false or 'count', received a number"),
        ({"sinse": "-5"}, "Extra inputs are not permitted; did you mean since?"),
        (
            {"colour": 1},
            "Extra inputs are not permitted; expected one of "
            "channel, member, more, presence, ref, since, type, where",
        ),
        (
            {str(number): 1 for number in range(100)},
            "Extra inputs are not permitted; expected one of "
            "channel, member, more, presence, ref, since, type, where",
        ),
    ],
)
def test_the_error_says_what_is_expected(fields: dict[str, Any], message: str) -> None:
    details = Client().refused(type="subscribe", channel="chat", **fields)["details"]
    assert details[0]["message"] == message


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"type": "subscribe"}, "/channel"),
        ({"type": "subscribe", "channel": 5}, "/channel"),
        ({"type": "subscribe", "channel": None}, "/channel"),
        ({"type": "subscribe", "channel": "chat", "since": 20}, "/since"),
        ({"type": "subscribe", "channel": "chat", "presence": "yes"}, "/presence"),
        ({"type": "subscribe", "channel": "chat", "presence": 1}, "/presence"),
        ({"type": "subscribe", "channel": "chat", "presence": None}, "/presence"),
        ({"type": "subscribe", "channel": "chat", "member": ""}, "/member"),
        ({"type": "subscribe", "channel": "chat", "member": "x" * 65}, "/member"),
        ({"type": "subscribe", "channel": "chat", "member": 5}, "/member"),
        ({"type": "subscribe", "channel": "chat", "member": []}, "/member"),
        ({"type": "subscribe", "channel": "chat", "member": {}}, "/member/id"),
        ({"type": "subscribe", "channel": "chat", "member": {"id": ""}}, "/member/id"),
        ({"type": "subscribe", "channel": "chat", "member": {"id": "x" * 65}}, "/member/id"),
        ({"type": "subscribe", "channel": "chat", "member": {"id": 5}}, "/member/id"),
        (
            {"type": "subscribe", "channel": "chat", "member": {"id": "a", "data": [1]}},
            "/member/data",
        ),
        (
            {"type": "subscribe", "channel": "chat", "member": {"id": "a", "data": "b"}},
            "/member/data",
        ),
        (
            {"type": "subscribe", "channel": "chat", "member": {"id": "a", "name": 1}},
            "/member/name",
        ),
        ({"type": "update", "channel": "chat"}, "/data"),
        ({"type": "update", "channel": "chat", "data": []}, "/data"),
        ({"type": "update", "channel": "chat", "data": "away"}, "/data"),
        ({"type": "update", "data": {}}, "/channel"),
        ({"type": "unsubscribe"}, "/channel"),
        ({"type": "unsubscribe", "channel": ["chat"]}, "/channel"),
        ({"type": "publish", "channel": "free"}, "/data"),
        ({"type": "publish", "data": 1}, "/channel"),
        ({"type": "publish", "channel": "free", "data": 1, "key": ""}, "/key"),
        ({"type": "publish", "channel": "free", "data": 1, "key": "x" * 129}, "/key"),
        ({"type": "publish", "channel": "free", "data": 1, "key": "a b"}, "/key"),
        ({"type": "publish", "channel": "free", "data": 1, "key": "é"}, "/key"),
        ({"type": "publish", "channel": "free", "data": 1, "key": "a\n"}, "/key"),
        ({"type": "publish", "channel": "free", "data": 1, "key": 5}, "/key"),
        ({"type": "publish", "channel": "free", "data": 1, "attributes": []}, "/attributes"),
        (
            {"type": "publish", "channel": "free", "data": 1, "attributes": {"time": "noon"}},
            "/attributes",
        ),
        (
            {"type": "publish", "channel": "free", "data": 1, "attributes": {"source": ""}},
            "/attributes/source",
        ),
        (
            {"type": "publish", "channel": "free", "data": 1, "attributes": {"source": "x" * 257}},
            "/attributes/source",
        ),
        (
            {"type": "publish", "channel": "free", "data": 1, "attributes": {"source": 5}},
            "/attributes/source",
        ),
        (
            {"type": "publish", "channel": "free", "data": 1, "attributes": {"source": None}},
            "/attributes/source",
        ),
    ],
)
def test_the_error_points_at_what_does_not_fit(fields: dict[str, Any], where: str) -> None:
    client = Client()
    assert client.invalid(**fields) == [where]
    assert client.submitted == []


def test_the_error_points_at_an_unknown_attribute() -> None:
    assert Client().invalid(type="publish", channel="free", data=1, attributes={"a~b": "x"}) == [
        "/attributes/a~0b"
    ]


@pytest.mark.parametrize("where", ["", "/attributes"])
def test_of_thousands_of_unknown_fields_the_first_are_named_without_validation(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_: Any) -> None:
        raise AssertionError("this costs too much to be done here")

    monkeypatch.setattr(Publish, "model_validate", never)
    build_many: dict[str, Any] = {f"x{number}": 1 for number in range(5000)}
    found = Client().invalid(
        type="publish",
        channel="free",
        data=1,
        **({"attributes": build_many} if where else build_many),
    )
    assert found == [f"{where}/x{number}" for number in range(20)]


def test_the_faults_of_a_message_are_bounded() -> None:
    assert len(Client().invalid(type="ping", **{f"x{n}": 1 for n in range(500)})) == MAX_FAULTS


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2)
    ),
    max_leaves=5,
)


@thorough
@given(
    st.fixed_dictionaries(
        {
            "type": st.sampled_from([*COMMANDS]),
            "channel": st.sampled_from(["chat", "free", "logs", "zzz"]) | values,
        },
        optional=dict.fromkeys(
            ("ref", "since", "presence", "member", "data", "key", "attributes"), values
        ),
    )
)
def test_any_fields_are_answered_and_never_raise(fields: dict[str, Any]) -> None:
    client = Client()
    try:
        message = json.dumps(fields, allow_nan=False).encode()
    except ValueError:
        return
    known = {"error", "pong", "subscribed", "unsubscribed"}
    assert all(reply["type"] in known for reply in client.raw(message))


def test_what_a_command_does_not_say_is_the_default_and_nothing_changes_it_later() -> None:
    subscribe = Subscribe(type="subscribe", channel="chat")
    assert (subscribe.ref, subscribe.since, subscribe.presence, subscribe.member) == (
        None,
        None,
        False,
        None,
    )
    publish = Publish(type="publish", channel="chat", data=1)
    assert (publish.key, publish.attributes) == (None, None)
    with pytest.raises(ValidationError):
        setattr(subscribe, "channel", "free")  # noqa: B010  # mypy knows that it cannot be set


def test_the_shortest_texts_are_taken() -> None:
    client = Client()
    (reply,) = client.send(type="subscribe", channel="chat", member="a")
    assert reply["type"] == "subscribed"
    client.send(type="publish", channel="free", data=1, key="k", attributes={"source": "s"})
    ((_, event),) = client.submitted
    assert (event.key, event.attributes) == ("k", {"source": "s"})


def test_the_error_says_that_a_key_is_empty_or_what_it_may_have() -> None:
    empty, spaced = (
        Client().refused(type="publish", channel="free", data=1, key=key)["details"][0]["message"]
        for key in ("", "a b")
    )
    assert "1 character" in empty
    assert "[!-~]" in spaced


@pytest.mark.parametrize("ref", ["x" * 64, 0])
def test_an_error_repeats_the_longest_ref(ref: Any) -> None:
    assert Client().refused(type="nonsense", ref=ref)["ref"] == ref
