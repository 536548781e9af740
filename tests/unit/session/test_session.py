"""session.py: commands in, replies out, with a hub that notes what it is asked for."""

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventhub import __version__
from eventhub.auth.grants import Action, Grants
from eventhub.auth.principal import STRANGER, CredentialKind, Principal
from eventhub.delivery.encoding import EVENT_STREAM, LINES, Encoding
from eventhub.delivery.subscriber import Subscriber, SubscriberState, SubscriptionStart
from eventhub.errors import (
    EventHubError,
    InvalidFrame,
    InvalidToken,
    RateLimited,
    ShuttingDown,
    SlowConsumer,
    UnknownChannel,
)
from eventhub.events.builtin_payloads import ChatMessage
from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SlowReaderPolicy,
)
from eventhub.events.event import Age, Earliest, Last, Latest, NewEvent, Position, Receipt, Since
from eventhub.events.schema import AnySchema, ModelSchema
from eventhub.events.validation_errors import MAX_FAULTS
from eventhub.session.commands import COMMANDS, Publish, Ref, Subscribe
from eventhub.session.deferred import DEFERRED_MESSAGES
from eventhub.session.interfaces import SessionLimits
from eventhub.session.session import Session
from tests.harness.builders import Guest

PROTOCOL = (Path(__file__).parents[3] / "PROTOCOL.md").read_text(encoding="utf-8")
thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
NOW = 1_795_377_960_123
LIMITS = SessionLimits(
    message_bytes=65536, subscriptions=3, heartbeat=25.0, depth=4, stranger_bytes=65536
)


def kind(name: str, schema: Any, *publish: PublisherKind) -> ChannelType:
    return ChannelType(
        name,
        name,
        schema,
        Retention(10, None),
        presence=True,
        slow=SlowReaderPolicy.DISCONNECT,
        publish=frozenset(publish),
    )


TYPES = ChannelTypes(
    {
        "chat": kind("chat", ModelSchema(ChatMessage), *PublisherKind),
        "free": kind("free", AnySchema(), *PublisherKind),
        "logs": kind("logs", AnySchema(), PublisherKind.PRODUCER),
    }
)


@dataclass
class Line:
    """A writer that keeps what is written."""

    encoding: Encoding = LINES
    full: bool = False
    data: bytes = b""
    failed: EventHubError | None = None

    def write(self, data: bytes) -> None:
        self.data += data

    def fail(self, error: EventHubError) -> None:
        self.failed = error

    def abort(self) -> None: ...


@dataclass
class Node:
    """A hub that notes what it is asked for. `prompt`: subscriptions begin at once, otherwise when
    `begin` is called.
    """

    types: ChannelTypes = TYPES
    prompt: bool = True
    refusal: EventHubError | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    subscribers: dict[str, Subscriber] = field(default_factory=dict)

    def subscribe(self, subscriber: Subscriber) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.types.resolve(subscriber.channel)
        self.calls.append(("subscribe", subscriber.channel))
        self.subscribers[subscriber.channel] = subscriber
        if self.prompt:
            self.begin(subscriber.channel)

    def begin(self, channel: str, *, recovered: bool = True) -> None:
        subscriber = self.subscribers[channel]
        assert subscriber.started is not None
        started, subscriber.started = subscriber.started, None
        started(
            subscriber, SubscriptionStart(Position("k3x9", 41), Position("k3x9", 99), recovered)
        )

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self.calls.append(("unsubscribe", subscriber.channel))
        del self.subscribers[subscriber.channel]

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        self.calls.append(("watch", subscriber.channel))
        return {"count": 2, "members": [{"id": "ana"}, {"id": subscriber.member}]}

    def congested(self, subscriber: Subscriber) -> None:
        self.calls.append(("congested", subscriber.channel))

    def drained(self, subscriber: Subscriber) -> None:
        self.calls.append(("drained", subscriber.channel))

    def refused(self, error: EventHubError) -> None: ...

    def rejected(self, channel: str, error: EventHubError) -> None:
        self.calls.append(("rejected", f"{channel} {error.code}"))

    def now(self) -> int:
        return NOW


class Client:
    """A connection: a session, its hub and its writer."""

    def __init__(
        self, *, prompt: bool = True, limits: SessionLimits = LIMITS, guest: Guest | None = None
    ) -> None:
        self.node = Node(prompt=prompt)
        self.line = Line()
        self.guest = guest or Guest()
        self.submitted: list[tuple[Ref, NewEvent]] = []
        self.session = Session(
            self.node,
            self.line,
            limits,
            lambda ref, event: self.submitted.append((ref, event)),
            self.guest,
        )

    def send(self, **fields: Any) -> list[dict[str, Any]]:
        """Send a message; what was written since."""
        return self.raw(orjson.dumps(fields))

    def raw(self, message: bytes) -> list[dict[str, Any]]:
        self.session.receive(message)
        return self.heard()

    def heard(self) -> list[dict[str, Any]]:
        data, self.line.data = self.line.data, b""
        return [orjson.loads(line) for line in data.splitlines()]

    def refused(self, **fields: Any) -> dict[str, Any]:
        (reply,) = self.send(**fields)
        assert reply["type"] == "error"
        return reply

    def invalid(self, **fields: Any) -> list[str]:
        """The pointers of an invalid frame."""
        reply = self.refused(**fields)
        assert reply["code"] == "invalid_frame"
        return [fault["pointer"] for fault in reply.get("details", [])]


# Greeting


def test_hello_names_the_session_the_version_and_the_limits() -> None:
    client = Client()
    client.session.hello()
    assert client.heard() == [
        {
            "type": "hello",
            "session": client.session.id,
            "version": __version__,
            "limits": {"message_bytes": 65536, "subscriptions": 3, "heartbeat": 25.0},
        }
    ]


def test_nothing_is_said_before_hello() -> None:
    assert Client().heard() == []


# Commands of the protocol


def test_the_commands_are_those_of_the_protocol() -> None:
    table = PROTOCOL.partition("### Client to server")[2].partition("### ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE))
    assert list(rows) == list(COMMANDS)
    for name, fields in rows.items():
        documented = set(re.findall(r"`(\w+)`", fields)) - {"latest"}
        assert documented == set(COMMANDS[name].model_fields) - {"type", "ref"}


def test_ping_is_answered_with_pong() -> None:
    assert Client().send(type="ping") == [{"type": "pong"}]
    assert Client().send(type="ping", ref=7) == [{"type": "pong", "ref": 7}]


# ref


@pytest.mark.parametrize(
    "ref", [0, 1, -1, 2**53, 2**63, 2**64 - 1, "", "a", "x" * 64, "🦊" * 64, '"\n']
)
def test_an_integer_or_a_string_comes_back_as_it_was(ref: Any) -> None:
    assert Client().send(type="ping", ref=ref) == [{"type": "pong", "ref": ref}]


def test_no_ref_and_a_null_ref_are_the_same() -> None:
    assert Client().send(type="ping", ref=None) == Client().send(type="ping") == [{"type": "pong"}]


@pytest.mark.parametrize("ref", [True, False, 1.0, 1.5, [], {}, "x" * 65], ids=repr)
def test_any_other_ref_is_an_invalid_frame_whose_answer_has_none(ref: Any) -> None:
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
        ({"type": "publish", "channel": "logs", "data": 1}, "forbidden"),
        ({"type": "publish", "channel": "chat", "data": 1}, "invalid_event"),
    ],
)
def test_an_error_carries_the_ref_of_its_message(message: dict[str, Any], code: str) -> None:
    reply = Client().refused(**message, ref="r1")
    assert (reply["ref"], reply["code"]) == ("r1", code)


# Messages at fault


@pytest.mark.parametrize(
    "message",
    [b"", b" ", b"{", b"ping", b'{"type":"ping"} {}', b'{"type":"ping","ref":NaN}',
     b'\xef\xbb\xbf{"type":"ping"}', b'{"type":"\xff"}', rb'{"type":"ping","ref":"\ud800"}',
     b"'ping'", b"\x00"],
)  # fmt: skip
def test_a_message_that_is_not_json_is_answered_without_a_ref(message: bytes) -> None:
    (reply,) = Client().raw(message)
    assert (reply["type"], reply["code"], "ref" in reply) == ("error", "invalid_json", False)


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
def test_a_message_that_is_no_object_is_told_what_it_is(message: bytes, name: str) -> None:
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
        "; expected one of subscribe, unsubscribe, publish, auth, ping"
    )
    assert len(reply["message"]) < 200


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_field_is_an_error_that_points_at_it(name: str) -> None:
    needed: dict[str, dict[str, Any]] = {
        "subscribe": {"channel": "chat"}, "unsubscribe": {"channel": "chat"},
        "publish": {"channel": "free", "data": 1}, "auth": {"token": "x"}, "ping": {},
    }  # fmt: skip
    client = Client()
    assert client.invalid(type=name, **needed[name], **{"a/b": 1}) == ["/a~1b"]
    assert client.node.calls == []
    assert client.submitted == []


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
def test_a_field_that_does_not_fit_is_pointed_at(fields: dict[str, Any], where: str) -> None:
    client = Client()
    assert client.invalid(**fields) == [where]
    assert client.submitted == []


def test_an_unknown_attribute_is_pointed_at() -> None:
    assert Client().invalid(type="publish", channel="free", data=1, attributes={"a~b": "x"}) == [
        "/attributes/a~0b"
    ]


def test_a_stranger_may_send_small_messages_until_it_is_known() -> None:
    client = Client(limits=replace(LIMITS, stranger_bytes=200))
    client.guest.principal = STRANGER
    assert client.send(type="ping", ref="x" * 60)[0]["type"] == "pong"
    client.send(type="publish", channel="free", data="x" * 200)
    error = client.line.failed
    assert error is not None
    assert (error.code, error.limit) == ("payload_too_large", "stranger_bytes")
    assert "limits.stranger_bytes" in error.message


def test_who_is_known_may_send_as_much_as_anybody_also_right_behind_a_token_that_is_looked_at() -> (
    None
):
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


@pytest.mark.parametrize("where", ["", "/attributes"])
def test_of_thousands_of_fields_the_first_unknown_ones_are_named_and_no_model_looks_at_them(
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


# subscribe


def test_a_subscription_is_answered_with_where_it_begins() -> None:
    client = Client()
    assert client.send(type="subscribe", channel="chat.lobby", ref=1) == [
        {
            "type": "subscribed",
            "ref": 1,
            "channel": "chat.lobby",
            "position": "k3x9-41",
            "head": "k3x9-99",
            "recovered": True,
        }
    ]


def test_the_answer_comes_when_history_has_been_read_and_says_when_something_is_missing() -> None:
    client = Client(prompt=False)
    assert client.send(type="subscribe", channel="chat.lobby", ref="s") == []
    assert client.send(type="ping") == [{"type": "pong"}]
    client.node.begin("chat.lobby", recovered=False)
    (reply,) = client.heard()
    assert (reply["type"], reply["ref"], reply["recovered"]) == ("subscribed", "s", False)


@pytest.mark.parametrize(
    ("text", "since"),
    [
        (None, Latest()),
        ("latest", Latest()),
        ("earliest", Earliest()),
        ("-20", Last(20)),
        ("10m", Age(600_000)),
        ("a-1", Position("a", 1)),
    ],
)
def test_every_form_of_since_reaches_the_hub(text: str | None, since: Since) -> None:
    client = Client()
    client.send(type="subscribe", channel="chat", since=text)
    assert client.node.subscribers["chat"].since == since


@pytest.mark.parametrize("since", ["", "yesterday", "-0", "k3x9", "chat@k3x9-1,logs@k3x9-2"])
def test_a_malformed_since_is_refused_and_the_channel_stays_free(since: str) -> None:
    client = Client()
    assert client.refused(type="subscribe", channel="chat", since=since)["code"] == "invalid_since"
    assert client.send(type="subscribe", channel="chat")[0]["type"] == "subscribed"


def test_the_subscription_is_for_this_writer() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat")
    assert client.node.subscribers["chat"].writer is client.line


def test_a_member_is_who_gives_an_id() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat.a", member="ana")
    client.send(type="subscribe", channel="chat.b")
    client.send(type="subscribe", channel="chat.c", member="x" * 64)
    members = [
        client.node.subscribers[channel].member for channel in ("chat.a", "chat.b", "chat.c")
    ]
    assert members == ["ana", "", "x" * 64]


def test_members_are_told_only_to_those_who_ask() -> None:
    client = Client()
    (quiet,) = client.send(type="subscribe", channel="chat.a")
    (asking,) = client.send(type="subscribe", channel="chat.b", presence=True, member="bob")
    assert not {"members", "count"} & quiet.keys()
    assert asking["count"] == 2
    assert asking["members"] == [{"id": "ana"}, {"id": "bob"}]
    assert [call for call in client.node.calls if call[0] == "watch"] == [("watch", "chat.b")]


def test_a_channel_is_subscribed_once() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat")
    reply = client.refused(type="subscribe", channel="chat", since="-1", ref=2)
    assert (reply["code"], reply["ref"]) == ("already_subscribed", 2)
    assert client.node.calls == [("subscribe", "chat")]


def test_a_subscription_that_has_not_begun_counts() -> None:
    client = Client(prompt=False)
    client.send(type="subscribe", channel="chat")
    assert client.refused(type="subscribe", channel="chat")["code"] == "already_subscribed"


def test_subscriptions_are_limited_and_leaving_one_makes_room() -> None:
    client = Client()
    for name in "abc":
        client.send(type="subscribe", channel=f"chat.{name}")
    assert client.refused(type="subscribe", channel="chat.d")["code"] == "too_many_subscriptions"
    client.send(type="unsubscribe", channel="chat.a")
    assert client.send(type="subscribe", channel="chat.d")[0]["type"] == "subscribed"


@pytest.mark.parametrize(
    ("channel", "code"),
    [("zzz.a", "unknown_channel"), ("", "invalid_channel"), ("chat..a", "invalid_channel")],
)
def test_a_subscription_that_the_hub_refuses_does_not_count(channel: str, code: str) -> None:
    client = Client()
    for _ in range(5):
        assert client.refused(type="subscribe", channel=channel)["code"] == code
    assert client.refused(type="unsubscribe", channel=channel)["code"] == "not_subscribed"


def test_a_hub_about_to_stop_refuses_subscriptions() -> None:
    client = Client()
    client.node.refusal = ShuttingDown("soon")
    assert client.refused(type="subscribe", channel="chat")["code"] == "shutting_down"


def test_transports_subscribe_without_a_message_and_get_errors_raised() -> None:
    client = Client()
    client.session.subscribe(Subscribe(type="subscribe", channel="chat", member="ana"), Last(5))
    assert client.node.subscribers["chat"].since == Last(5)
    with pytest.raises(UnknownChannel):
        client.session.subscribe(Subscribe(type="subscribe", channel="zzz"), Latest())


def test_the_position_reaches_encodings_that_need_it() -> None:
    line = Line(EVENT_STREAM)
    session = Session(Node(), line, LIMITS, lambda ref, event: None, Guest())
    session.subscribe(Subscribe(type="subscribe", channel="chat"), Latest())
    assert line.data.endswith(b"}\nid: k3x9-41\n\n")


# unsubscribe


def test_a_subscription_given_up_before_it_began_is_answered_too() -> None:
    client = Client(prompt=False)
    assert client.send(type="subscribe", channel="chat.a", ref=1) == []
    refusal, farewell = client.send(type="unsubscribe", channel="chat.a", ref=2)
    assert (refusal["type"], refusal["ref"], refusal["code"]) == ("error", 1, "not_subscribed")
    assert (farewell["type"], farewell["ref"]) == ("unsubscribed", 2)
    client.send(type="subscribe", channel="chat.a")
    assert [reply["type"] for reply in client.send(type="unsubscribe", channel="chat.a")] == [
        "unsubscribed"
    ], "nobody can await it"


def test_unsubscribing_is_answered_with_the_reason() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat")
    answer = {"type": "unsubscribed", "ref": 2, "channel": "chat", "reason": "client"}
    assert client.send(type="unsubscribe", channel="chat", ref=2) == [answer]
    assert client.node.calls == [("subscribe", "chat"), ("unsubscribe", "chat")]
    assert client.refused(type="unsubscribe", channel="chat")["code"] == "not_subscribed"


def test_a_channel_can_be_subscribed_again() -> None:
    client = Client()
    for _ in range(3):
        assert client.send(type="subscribe", channel="chat")[0]["type"] == "subscribed"
        assert client.send(type="unsubscribe", channel="chat")[0]["type"] == "unsubscribed"


def test_the_error_for_a_long_name_is_short() -> None:
    assert len(Client().refused(type="unsubscribe", channel="x" * 60_000)["message"]) < 400


# publish


def test_a_publish_is_submitted_canonical_with_its_ref_and_the_time() -> None:
    client = Client()
    assert (
        client.raw(
            b'{"type":"publish", "channel":"chat.a", '
            b'"data": {"sender": "ana", "text": "oi"}, "ref": 9}'
        )
        == []
    )
    assert client.submitted == [(9, NewEvent("chat.a", b'{"sender":"ana","text":"oi"}', NOW))]


def test_key_and_attributes_go_with_it() -> None:
    client = Client()
    attributes = {"source": "s" * 256, "subject": "é", "type": "t", "traceparent": "00"}
    client.send(
        type="publish", channel="free", data=None, key="!" + "~" * 127, attributes=attributes
    )
    client.send(type="publish", channel="free", data=None, key=None, attributes={})
    assert [(event.data, event.key, event.attributes) for _, event in client.submitted] == [
        (b"null", "!" + "~" * 127, attributes),
        (b"null", None, None),
    ]


@pytest.mark.parametrize("data", [None, False, 0, "", [], {}, {"a": [1.5, "x"]}])
def test_any_json_value_is_data(data: Any) -> None:
    client = Client()
    assert client.send(type="publish", channel="free", data=data) == []
    assert orjson.loads(client.submitted[0][1].data) == data


@pytest.mark.parametrize(
    ("channel", "data", "code"),
    [
        ("zzz", 1, "unknown_channel"),
        ("a b", 1, "invalid_channel"),
        ("logs.api", 1, "forbidden"),
        ("chat", {"sender": "ana"}, "invalid_event"),
    ],
)
def test_a_publish_that_is_refused_is_counted_and_answered(
    channel: str, data: Any, code: str
) -> None:
    client = Client()
    assert client.refused(type="publish", channel=channel, data=data, ref=1)["code"] == code
    assert client.node.calls == [("rejected", f"{channel} {code}")]
    assert client.submitted == []


def test_the_faults_of_an_event_are_pointed_at() -> None:
    reply = Client().refused(
        type="publish", channel="chat", data={"sender": "", "text": "oi", "x/y": 1}
    )
    assert [fault["pointer"] for fault in reply["details"]] == ["/sender", "/x~1y"]


def test_a_publish_needs_no_subscription() -> None:
    client = Client()
    client.send(type="publish", channel="free", data=1)
    assert client.node.calls == []


def test_a_published_event_is_answered_with_its_position_and_time() -> None:
    client = Client()
    client.session.published("p", "free.a", Receipt(Position("k3x9", 43), NOW))
    client.session.published(None, "free.a", Receipt(Position("k3x9", 43), NOW, replayed=True))
    fields = {
        "type": "published",
        "channel": "free.a",
        "id": "k3x9-43",
        "time": "2026-11-22T20:06:00.123Z",
    }
    assert client.heard() == [{**fields, "ref": "p"}, fields]


def test_an_event_that_was_not_stored_is_answered_with_the_error() -> None:
    client = Client()
    client.session.published(4, "free.a", ShuttingDown("soon"))
    assert client.heard() == [
        {"type": "error", "ref": 4, "code": "shutting_down", "message": "soon", "retry_after": 1.0}
    ]


# Order


def test_commands_are_carried_out_and_answered_in_order() -> None:
    client = Client()
    for number, message in enumerate(
        [
            {"type": "ping"},
            {"type": "subscribe", "channel": "chat"},
            {"type": "nonsense"},
            {"type": "unsubscribe", "channel": "chat"},
            {"type": "unsubscribe", "channel": "chat"},
            {"type": "ping"},
        ]
    ):
        client.session.receive(orjson.dumps({**message, "ref": number}))
    replies = client.heard()
    assert [reply["ref"] for reply in replies] == list(range(6))
    assert [reply["type"] for reply in replies] == [
        "pong",
        "subscribed",
        "error",
        "unsubscribed",
        "error",
        "pong",
    ]


def test_publishes_are_submitted_in_order() -> None:
    client = Client()
    for number in range(5):
        client.send(type="publish", channel="free", data=number, ref=number)
    assert [(ref, event.data) for ref, event in client.submitted] == [
        (n, b"%d" % n) for n in range(5)
    ]


# The writer's fill, and the end


def test_a_full_and_a_drained_writer_are_told_for_every_subscription() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat.a")
    client.send(type="subscribe", channel="chat.b")
    client.session.congested()
    client.session.drained()
    assert client.node.calls[2:] == [
        ("congested", "chat.a"),
        ("congested", "chat.b"),
        ("drained", "chat.a"),
        ("drained", "chat.b"),
    ]


def test_a_subscription_may_end_while_the_others_are_told() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat.a")
    client.send(type="subscribe", channel="chat.b")
    client.send(type="unsubscribe", channel="chat.a")
    client.session.congested()
    assert client.node.calls[-1] == ("congested", "chat.b")
    assert ("congested", "chat.a") not in client.node.calls


def test_goodbye_says_why_and_when_to_come_back() -> None:
    client = Client()
    client.session.goodbye(ShuttingDown("soon", retry_after=1.23456))
    assert client.heard() == [
        {"type": "goodbye", "code": "shutting_down", "message": "soon", "reconnect_in": 1.235}
    ]


def test_whoever_is_sent_away_stays_a_member_as_it_is_expected_elsewhere_in_a_moment() -> None:
    client = Client()
    client.send(type="subscribe", channel="chat.a", member="ana")
    subscriber = client.node.subscribers["chat.a"]
    assert subscriber.member == "ana"
    client.session.goodbye(ShuttingDown("soon", retry_after=1))
    client.session.close()
    assert subscriber.member == "", "which the hub takes out of no channel"
    assert client.node.calls[-1] == ("unsubscribe", "chat.a")


def test_an_error_of_the_connection_has_no_ref() -> None:
    client = Client()
    client.session.error(SlowConsumer("slow"))
    assert client.heard() == [{"type": "error", "code": "slow_consumer", "message": "slow"}]


def test_closing_leaves_every_channel_once() -> None:
    client = Client()
    for name in "abc":
        client.send(type="subscribe", channel=f"chat.{name}")
    client.session.close()
    client.session.close()
    assert sorted(call for call in client.node.calls if call[0] == "unsubscribe") == [
        ("unsubscribe", f"chat.{name}") for name in "abc"
    ]
    assert client.node.subscribers == {}
    client.session.congested()
    client.session.drained()
    assert all(call[0] not in ("congested", "drained") for call in client.node.calls)


def test_closing_takes_the_calls_it_has_time_for_and_says_nothing_from_the_first_on() -> None:
    client = Client()
    for name in "abc":
        client.send(type="subscribe", channel=f"chat.{name}")
    subscribers = list(client.node.subscribers.values())
    assert not client.session.close(lambda: True)
    assert client.send(type="ping") == []
    assert {subscriber.state for subscriber in subscribers} == {SubscriberState.GONE}, (
        "no feed does anything for it"
    )
    for left in (2, 1):
        enough = iter((False, True))
        assert not client.session.close(lambda: next(enough))  # noqa: B023
        assert len(client.node.subscribers) == left
    assert client.session.close()
    assert client.node.subscribers == {}


def test_closing_before_anything_is_harmless() -> None:
    client = Client()
    client.session.close()
    assert client.heard() == []


def test_nothing_is_written_after_close_not_even_the_answer_to_a_publish_under_way() -> None:
    client = Client()
    client.send(type="publish", channel="free", data=1, ref=1)
    client.session.close()
    client.session.published(1, "free", Receipt(Position("k3x9", 1), NOW))
    client.session.published(2, "free", ShuttingDown("soon"))
    assert client.heard() == []


@pytest.mark.parametrize(
    "message", [{"type": "ping"}, {"type": "subscribe", "channel": "chat"}, {"type": "nonsense"}]
)
def test_messages_after_close_are_neither_answered_nor_carried_out(message: dict[str, Any]) -> None:
    client = Client()
    client.session.close()
    assert client.send(**message) == []
    assert client.node.calls == [], "a subscription made now would never end"


# auth

SOME = Grants(
    {Action.SUBSCRIBE: ["chat.*"], Action.PUBLISH: ["chat.lobby"], Action.PRESENCE: ["chat.lobby"]}
)
ANA = Principal(CredentialKind.TOKEN, "ana", SOME, expires=NOW + 60_000)


def stranger(**known: Principal) -> Client:
    """A connection that may do nothing until it says who it is."""
    return Client(guest=Guest(STRANGER, known))


def test_a_stranger_is_told_to_say_who_it_is() -> None:
    client = stranger()
    assert client.refused(type="subscribe", channel="chat.lobby")["code"] == "unauthorized"
    assert (
        client.refused(type="publish", channel="chat.lobby", data={"sender": "a", "text": "x"})[
            "code"
        ]
        == "unauthorized"
    )
    assert (client.node.calls, client.submitted) == ([("rejected", "chat.lobby unauthorized")], [])


def test_a_token_says_who_it_is_and_what_may_be_done() -> None:
    client = stranger(good=ANA)
    assert client.send(type="auth", token="good", ref=4) == [
        {"type": "authenticated", "ref": 4, "principal": "ana", "expires_in": 60.0}
    ]
    assert [
        reply["type"]
        for reply in client.send(
            type="subscribe", channel="chat.lobby", presence=True, member="ana"
        )
    ] == ["subscribed"]
    assert (
        client.send(type="publish", channel="chat.lobby", data={"sender": "a", "text": "x"}) == []
    )
    assert [event.channel for _, event in client.submitted] == ["chat.lobby"]


@pytest.mark.parametrize(
    "command",
    [
        {"type": "subscribe", "channel": "free.x"},
        {"type": "subscribe", "channel": "chat.a.b"},
        {"type": "subscribe", "channel": "chat.side", "presence": True},
        {"type": "subscribe", "channel": "chat.side", "member": "ana"},
        {"type": "subscribe", "channel": "chat.lobby", "member": "ben"},
        {"type": "publish", "channel": "chat.side", "data": {"sender": "a", "text": "x"}},
    ],
)
def test_what_is_not_granted_is_forbidden(command: dict[str, Any]) -> None:
    client = stranger(good=ANA)
    client.send(type="auth", token="good")
    assert client.refused(**command)["code"] == "forbidden"
    assert not client.node.subscribers
    assert not client.submitted


def test_a_channel_type_may_allow_things_to_anyone() -> None:
    client = stranger()
    client.node.types = ChannelTypes(
        {
            "chat": replace(
                kind("chat", AnySchema(), *PublisherKind), anonymous=frozenset({Action.SUBSCRIBE})
            )
        }
    )
    assert client.send(type="subscribe", channel="chat.lobby")[0]["type"] == "subscribed"
    assert client.refused(type="publish", channel="chat.lobby", data=1)["code"] == "unauthorized"
    assert (
        client.refused(type="subscribe", channel="chat.side", presence=True)["code"]
        == "unauthorized"
    )


def test_a_bad_token_is_an_error_reply_and_changes_nothing() -> None:
    client = stranger(good=ANA)
    client.send(type="auth", token="good")
    assert client.refused(type="auth", token="bad", ref=1)["code"] == "invalid_token"
    assert client.send(type="subscribe", channel="chat.lobby")[0]["type"] == "subscribed"


@pytest.mark.parametrize(
    "fields", [{}, {"token": ""}, {"token": 1}, {"token": "x" * 8193}, {"token": "x", "more": 1}]
)
def test_an_auth_frame_has_a_token_of_reasonable_size(fields: dict[str, Any]) -> None:
    client = stranger()
    assert client.invalid(type="auth", **fields)
    assert "x" * 100 not in str(client.heard())


def test_commands_behind_a_token_wait_until_it_is_decided() -> None:
    client = stranger()
    assert client.send(type="auth", token="unknown key", ref=1) == []
    assert client.send(type="subscribe", channel="chat.lobby", ref=2) == []
    assert client.send(type="ping", ref=3) == []
    client.guest.principal = ANA
    client.guest.undecided.pop()[1](ANA)
    assert [(reply["type"], reply["ref"]) for reply in client.heard()] == [
        ("authenticated", 1),
        ("subscribed", 2),
        ("pong", 3),
    ]


def test_a_token_that_is_refused_late_lets_what_waited_go_on() -> None:
    client = stranger()
    client.send(type="auth", token="unknown key", ref=1)
    client.send(type="ping", ref=2)
    client.guest.undecided.pop()[1](InvalidToken("no"))
    assert [(reply["type"], reply["ref"]) for reply in client.heard()] == [
        ("error", 1),
        ("pong", 2),
    ]


@pytest.mark.parametrize("message", [b'{"type":"ping"}', b" " * 40_000])
def test_what_waits_behind_a_token_is_bounded(message: bytes) -> None:
    client = stranger()
    client.send(type="auth", token="unknown key")
    for _ in range(DEFERRED_MESSAGES + 1):
        client.session.receive(message)
    assert isinstance(client.line.failed, InvalidFrame)


def test_nothing_is_answered_when_a_token_is_decided_after_the_end() -> None:
    client = stranger()
    client.send(type="auth", token="unknown key")
    client.send(type="subscribe", channel="chat.lobby")
    client.session.close()
    client.guest.undecided.pop()[1](ANA)
    assert client.heard() == []
    assert not client.node.subscribers


def test_a_new_token_ends_what_it_does_not_allow() -> None:
    less = Principal(
        CredentialKind.TOKEN,
        "ana",
        Grants({Action.SUBSCRIBE: ["chat.side", "chat.lobby"]}),
        expires=NOW + 60_000,
    )
    client = stranger(good=ANA, less=less)
    client.send(type="auth", token="good")
    client.send(type="subscribe", channel="chat.lobby", presence=True)
    client.send(type="subscribe", channel="chat.side")
    client.send(type="subscribe", channel="chat.other")
    told = client.send(type="auth", token="less")
    gone = [
        (reply["channel"], reply["reason"]) for reply in told if reply["type"] == "unsubscribed"
    ]
    assert gone == [("chat.lobby", "forbidden"), ("chat.other", "forbidden")]
    assert client.session.channels == list(client.node.subscribers) == ["chat.side"]


def test_an_end_to_come_is_announced() -> None:
    client = Client()
    client.session.expiring(29.9996)
    assert client.heard() == [{"type": "expiring", "expires_in": 30.0}]


def test_an_event_is_charged_before_it_is_looked_at() -> None:
    client = Client()
    client.send(type="publish", channel="free", data=1)
    client.guest.refusal = RateLimited("too many", retry_after=0.25)
    refusal = client.refused(type="publish", channel="chat", data="of another kind")
    assert (refusal["code"], refusal["retry_after"]) == ("rate_limited", 0.25)
    assert (client.guest.charged, len(client.submitted)) == (["free"], 1)
