"""session.py against a model of a client, in any order of commands, hub and connection."""

from collections import Counter
from itertools import count
from typing import Any

import orjson
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from eventhub.errors import BrokerUnavailable
from eventhub.events.event import Position, Receipt
from tests.unit.session.session_client import LIMITS, NOW, Client

CHANNELS = st.sampled_from(["chat.a", "chat.b", "free.c", "free.d", "logs.e", "nope.f", "chat..g"])
BAD = st.sampled_from(
    [b"", b"{", b"[]", b"1", b"\xff", b'"ping"', b"[[[[[[1]]]]]]", b'{"type":"ping","ref":NaN}']
) | st.binary(max_size=9)
FAULTS: list[dict[str, Any]] = [
    {"type": "what"},
    {"type": "ping", "x": 1},
    {"type": "subscribe"},
    {"type": ["ping"]},
    {},
]


class Machine(RuleBasedStateMachine):
    """`due` are the refs of commands that wait for history or the broker, `open` the model's
    subscriptions, in either state.
    """

    def __init__(self) -> None:
        super().__init__()
        self.client = Client(prompt=False)
        self.refs = count()
        self.open: dict[str, int | None] = {}
        self.due: set[int] = set()
        self.closed = False
        self.answers: Counter[int] = Counter()

    @rule(
        channel=CHANNELS,
        since=st.sampled_from([None, "latest", "-3", "k3x9-41", "never"]),
        presence=st.booleans(),
    )
    def subscribe(self, channel: str, since: str | None, presence: bool) -> None:  # noqa: FBT001  # hypothesis gives it by name
        good = channel.count(".") == 1 and not channel.startswith("nope") and since != "never"
        taken = channel in self.open or len(self.open) >= LIMITS.subscriptions
        ref = self.say(
            type="subscribe",
            channel=channel,
            presence=presence,
            **({"since": since} if since else {}),
        )
        if self.closed:
            return
        if good and not taken:
            self.open[channel] = ref
            self.due.add(ref)
        self.heard({} if good and not taken else {ref: "error"})

    @rule(channel=CHANNELS)
    def unsubscribe(self, channel: str) -> None:
        ref = self.say(type="unsubscribe", channel=channel)
        if self.closed:
            return
        if channel not in self.open:
            self.heard({ref: "error"})
            return
        expected = {ref: "unsubscribed"}
        if (waiting := self.open.pop(channel)) is not None:
            expected[waiting] = "error"
        self.heard(expected)

    @precondition(lambda self: any(ref is not None for ref in self.open.values()))
    @rule(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        channel = data.draw(
            st.sampled_from([channel for channel, ref in self.open.items() if ref is not None])
        )
        ref, self.open[channel] = self.open[channel], None
        assert ref is not None
        self.client.node.begin(channel)
        self.heard({ref: "subscribed"})

    @rule(channel=CHANNELS, payload=st.sampled_from([1, None, {"sender": "ana", "text": "oi"}]))
    def publish(self, channel: str, payload: Any) -> None:
        good = channel.startswith("free.") or (
            channel in ("chat.a", "chat.b") and isinstance(payload, dict)
        )
        ref = self.say(type="publish", channel=channel, data=payload)
        if self.closed:
            return
        if good:
            self.due.add(ref)
        self.heard({} if good else {ref: "error"})

    @precondition(lambda self: self.client.submitted)
    @rule(stored=st.booleans())
    def answer(self, stored: bool) -> None:  # noqa: FBT001  # hypothesis gives it by name
        ref, event = self.client.submitted.pop(0)
        assert isinstance(ref, int)
        outcome = (
            Receipt(Position("k3x9", 42), NOW)
            if stored
            else BrokerUnavailable("the broker is away")
        )
        self.client.session.published(ref, event.channel, outcome)
        self.heard({} if self.closed else {ref: "published" if stored else "error"})

    @rule()
    def ping(self) -> None:
        ref = self.say(type="ping")
        if not self.closed:
            self.heard({ref: "pong"})

    @rule(message=BAD)
    def say_what_is_not_a_command(self, message: bytes) -> None:
        self.client.session.receive(message)
        if not self.closed:
            assert [reply["type"] for reply in self.client.heard()] == ["error"]

    @rule(fields=st.sampled_from(FAULTS))
    def say_what_does_not_fit(self, fields: dict[str, Any]) -> None:
        ref = self.say(**fields)
        if not self.closed:
            self.heard({ref: "error"})

    @rule()
    def congest(self) -> None:
        self.every("congested", self.client.session.congested)

    @rule()
    def drain(self) -> None:
        self.every("drained", self.client.session.drained)

    @precondition(lambda self: len(self.answers) > 3)
    @rule()
    def close(self) -> None:
        self.client.session.close()
        self.closed = True
        self.open.clear()

    @invariant()
    def the_session_has_the_models_subscriptions(self) -> None:
        assert (
            set(self.client.session._subscriptions)
            == set(self.client.node.subscribers)
            == set(self.open)
        )
        assert len(self.open) <= LIMITS.subscriptions
        answers_due = self.client.session._subscriptions._due or {}
        due = {channel for channel, ref in answers_due.items() if ref is not None}
        assert self.closed or due == {
            channel for channel, ref in self.open.items() if ref is not None
        }

    @invariant()
    def nothing_is_left_unheard_nor_said_after_the_end(self) -> None:
        assert self.client.line.data == b""

    @invariant()
    def every_ref_is_answered_once_or_due(self) -> None:
        assert all(number == 1 for number in self.answers.values())
        waiting = {ref for ref in self.open.values() if ref is not None} | {
            ref for ref, _ in self.client.submitted
        }
        assert self.closed or self.due == waiting

    def say(self, **fields: Any) -> int:
        """Send a command; its ref."""
        ref = next(self.refs)
        self.client.session.receive(orjson.dumps({"ref": ref, **fields}))
        return ref

    def heard(self, expected: dict[int, str]) -> None:
        """Exactly these answers came, and nothing else."""
        replies = self.client.heard()
        assert {reply["ref"]: reply["type"] for reply in replies} == expected
        assert len(replies) == len(expected)
        self.answers.update(expected.keys())
        self.due -= expected.keys()

    def every(self, what: str, tell: Any) -> None:
        """The hub is told of each subscription, and nothing is said."""
        self.client.node.calls.clear()
        tell()
        assert sorted(self.client.node.calls) == sorted((what, channel) for channel in self.open)


Machine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestSession = Machine.TestCase
