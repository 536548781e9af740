"""eventhub_client/patterns.py, and a follower of a pattern."""

import json

import pytest

from eventhub_client.following import Follower
from eventhub_client.patterns import fits, is_pattern
from eventhub_client.positions import BEGUN, Subscription
from eventhub_client.steps import (
    Closed,
    Connect,
    Connected,
    Deliver,
    FollowStep,
    Message,
    Receive,
    Received,
    Reply,
    Send,
    Store,
)
from tests.unit.client.shells import connected, event, until_starved

ASKS = (Connect, Receive)
SUBSCRIBED = {"type": "subscribed", "channel": "a.>", "channels": 2}


def positions(*, complete: bool = True, **found: str) -> Message:
    named = {name.replace("_", "."): at for name, at in found.items()}
    return {"type": "positions", "channel": "a.>", "positions": named, "complete": complete}


def follow(*replies: Reply, stored: dict[str, str] | None = None) -> list[FollowStep]:
    follower = Follower(Subscription(("a.>",), "-20", stored or {}))
    return until_starved(follower.steps(), replies, ASKS)


def since(steps: list[FollowStep]) -> list[object]:
    sent = (message for step in steps if isinstance(step, Send) for message in step.messages)
    return [message["since"] for message in sent]


@pytest.mark.parametrize(
    ("pattern", "covered", "others"),
    [
        ("a.*", ["a.b"], ["a", "a.b.c", "b.a"]),
        ("a.>", ["a.b", "a.b.c"], ["a", "b.c"]),
        ("*.b", ["a.b"], ["a.c", "a.b.c", "b"]),
        (">", ["a", "a.b"], []),
        ("a.*.c", ["a.b.c"], ["a.c", "a.b.b"]),
        ("a.*.>", ["a.b.c", "a.b.c.d"], ["a.b"]),
        ("a.b", ["a.b"], ["a.c", "a.b.c", "a"]),
    ],
)
def test_a_pattern_fits(pattern: str, covered: list[str], others: list[str]) -> None:
    assert [fits(pattern, each) for each in covered] == [True] * len(covered)
    assert [fits(pattern, each) for each in others] == [False] * len(others)


def test_a_name_is_no_pattern() -> None:
    assert [is_pattern(each) for each in ("a.*", ">", "a.>", "a.b", "a*.b>")] == [
        *[True] * 3,
        *[False] * 2,
    ]


def test_it_begins_at_since_and_resumes_at_the_positions_of_all_channels() -> None:
    steps = follow(
        *connected(SUBSCRIBED, positions(a_b="k-3", a_c="k-7"), event("k-4")),
        Closed(),
        *connected(),
    )
    assert since(steps) == ["-20", {"a.b": "k-4", "a.c": "k-7"}]
    assert [step for step in steps if isinstance(step, Store)] == [
        Store({"a.b": "k-3", "a.c": "k-7", "a.>": BEGUN}),
        Store({"a.b": "k-4"}),
    ]
    assert sum(isinstance(step, Deliver) for step in steps) == 1


def test_a_pattern_without_channels_resumes_with_all_that_are_born_meanwhile() -> None:
    steps = follow(*connected(SUBSCRIBED, positions()), Closed(), *connected())
    assert since(steps) == ["-20", {}]


def test_until_all_positions_are_known_it_begins_again() -> None:
    steps = follow(
        *connected(SUBSCRIBED, positions(complete=False, a_b="k-3")), Closed(), *connected()
    )
    assert since(steps) == ["-20", "-20"]


def test_what_was_consumed_is_not_repeated_when_a_pattern_begins_again() -> None:
    old_gap = {"type": "gap", "channel": "a.b", "position": "k-2", "reason": "expired"}
    again: list[Message] = [SUBSCRIBED, old_gap, event("k-3"), event("k-4"), event("n-1")]
    steps = follow(*connected(SUBSCRIBED, event("k-3")), Closed(), *connected(*again))
    assert since(steps) == ["-20", "-20"]
    assert [step.message["id"] for step in steps if isinstance(step, Deliver)] == [
        "k-3",
        "k-4",
        "n-1",
    ]
    stored = follow(*connected(SUBSCRIBED, event("k-3"), event("k-5")), stored={"a.b": "k-4"})
    assert [step.message["id"] for step in stored if isinstance(step, Deliver)] == ["k-5"]


def test_a_pattern_that_has_begun_gets_what_the_server_sends() -> None:
    begun = follow(*connected(SUBSCRIBED, positions(a_b="k-3"), event("k-2")))
    stored = follow(*connected(SUBSCRIBED, event("k-2")), stored={"a.>": BEGUN, "a.b": "k-3"})
    assert Deliver(event("k-2")) in begun
    assert Deliver(event("k-2")) in stored


def test_a_stored_pattern_resumes_with_its_own_channels() -> None:
    stored = {"a.>": BEGUN, "a.b": "k-1", "b.c": "k-2"}
    assert since(follow(*connected(), stored=stored)) == [{"a.b": "k-1"}]
    states = Follower(Subscription(("a.>",), "state", stored))
    assert since(until_starved(states.steps(), connected(), ASKS)) == [{"a.b": "k-1"}]


def test_a_channel_that_is_born_is_delivered_and_resumed() -> None:
    born = event("k-1", channel="a.new")
    steps = follow(*connected(SUBSCRIBED, positions(), born), Closed(), *connected())
    assert since(steps) == ["-20", {"a.new": "k-1"}]


def test_a_command_is_as_small_as_the_server_wants_it() -> None:
    stored = {"a.>": BEGUN, **{f"a.{number:04}": "k-1" for number in range(100)}}
    hello = Received({"type": "hello", "limits": {"heartbeat": 25.0, "message_bytes": 1024}})
    (step,) = (each for each in follow(Connected(), hello, stored=stored) if isinstance(each, Send))
    assert all(len(json.dumps(message)) <= 1024 for message in step.messages)
    assert sum(len(message["since"]) for message in step.messages) == 100


def test_many_positions_go_into_several_commands() -> None:
    stored = {"a.>": BEGUN, **{f"a.{number:04}": "k-1" for number in range(5000)}}
    steps = follow(*connected(), stored=stored)
    (step,) = (step for step in steps if isinstance(step, Send))
    assert all(len(json.dumps(message)) <= 32 * 1024 + 100 for message in step.messages)
    assert len(step.messages) == 3, "each but the last one is full"
    assert [message.get("more", False) for message in step.messages] == [
        *[True] * (len(step.messages) - 1),
        False,
    ]
    found = [name for message in step.messages for name in message["since"]]
    assert found == [name for name in stored if name != "a.>"]
