"""eventhub_client/positions.py: a follower of a state, and reading.py: its pages."""

from typing import Any

import pytest

from eventhub_client.attempts import Rules
from eventhub_client.errors import InvalidData, Unavailable, UnknownChannel
from eventhub_client.following import Follower
from eventhub_client.items import State
from eventhub_client.members import Membership
from eventhub_client.positions import Subscription
from eventhub_client.reading import read_members, read_state
from eventhub_client.steps import (
    Answer,
    CallStep,
    Closed,
    Connect,
    Deliver,
    FollowStep,
    Message,
    Receive,
    Received,
    Reply,
    Request,
    Send,
    Store,
)
from tests.unit.client.shells import Time, answered, connected, event, subscribed, until_starved


def follow(*replies: Reply, stored: dict[str, str] | None = None) -> list[FollowStep]:
    follower = Follower(Subscription(("a.b",), "state", stored or {}), Time(), lambda: 0.5)
    return until_starved(follower.steps(), replies, (Connect, Receive))


def sent(steps: list[FollowStep]) -> list[Message]:
    return [message for step in steps if isinstance(step, Send) for message in step.messages]


def since(steps: list[FollowStep]) -> list[object]:
    return [message["since"] for message in sent(steps) if message["type"] == "subscribe"]


def gap(reason: str, position: str = "n-0") -> Message:
    return {"type": "gap", "channel": "a.b", "position": position, "reason": reason}


def test_it_resumes_with_what_has_changed_in_the_state() -> None:
    steps = follow(*connected(subscribed("k-0"), event("k-4")), Closed(), *connected())
    assert since(steps) == ["state", "state:k-4"]
    assert [step.positions for step in steps if isinstance(step, Store)] == [
        {"a.b": "state:k-0"},
        {"a.b": "state:k-4"},
    ]


def test_a_cursor_of_a_state_goes_on_and_one_of_a_log_does_not_have_the_state() -> None:
    assert since(follow(*connected(), stored={"a.b": "state:k-4"})) == ["state:k-4"]
    assert since(follow(*connected(), stored={"a.b": "k-4"})) == ["state"]


@pytest.mark.parametrize("before", [[], [event("k-4")]])
def test_after_a_gap_to_the_beginning_the_server_sends_the_whole_state_by_itself(
    before: list[Message],
) -> None:
    steps = follow(*connected(subscribed("k-0"), *before, gap("reset"), event("n-1")))
    assert since(steps) == ["state"]
    assert Store({"a.b": "state:n-0"}) in steps


LATE = event("k-9")
UNSUBSCRIBED = Received({"type": "unsubscribed", "channel": "a.b", "reason": "client"})


def read_again(reason: str) -> list[FollowStep]:
    steps = follow(
        *connected(subscribed("k-0"), event("k-4"), gap(reason, "n-7"), LATE),
        UNSUBSCRIBED,
        subscribed("k-0"),
        Received(event("k-5")),
    )
    assert [each["type"] for each in sent(steps)] == ["subscribe", "unsubscribe", "subscribe"]
    return steps


def delivered(steps: list[FollowStep]) -> list[Message]:
    return [step.message for step in steps if isinstance(step, Deliver)]


@pytest.mark.parametrize("reason", ["expired", "reset"])
def test_after_a_later_gap_the_whole_state_is_read_again_and_nothing_in_between(
    reason: str,
) -> None:
    steps = read_again(reason)
    assert since(steps) == ["state", "state"]
    assert delivered(steps) == [event("k-4"), gap(reason, "n-7"), event("k-5")]


def test_a_gap_before_any_position_is_known_begins_the_state_anew() -> None:
    assert since(follow(*connected(gap("expired", "k-7")))) == ["state", "state"]


def test_what_a_slow_reader_of_a_state_missed_is_read_from_its_last_event() -> None:
    steps = read_again("slow")
    assert since(steps) == ["state", "state:k-4"]
    assert delivered(steps) == [event("k-4"), event("k-5")]


def test_one_s_own_member_comes_back_with_the_state() -> None:
    member = Membership("ana", {"at": 1})
    follower = Follower(Subscription(("a.b",), "state", {}, member=member), Time(), lambda: 0.5)
    slow = connected(subscribed("k-0"), gap("slow", "n-7"))
    steps = until_starved(follower.steps(), slow, (Connect, Receive))
    members = [each["member"] for each in sent(steps) if each["type"] == "subscribe"]
    assert members == [{"id": "ana", "data": {"at": 1}}] * 2


def test_a_connection_that_ends_before_the_answer_leaves_nothing_out() -> None:
    before = connected(subscribed("k-0"), event("k-4"), gap("slow", "n-7"), LATE)
    steps = follow(*before, Closed(), *connected(subscribed("k-4"), event("k-5")))
    assert since(steps) == ["state", "state:k-4", "state:k-4"]
    assert delivered(steps) == [event("k-4"), event("k-5")]


def test_a_conflated_gap_is_no_gap_of_a_state() -> None:
    steps = follow(*connected(subscribed("k-0"), event("k-4"), gap("conflated", "k-4")))
    assert since(steps) == ["state"]
    assert delivered(steps) == [event("k-4")]


def test_damaged_events_of_a_state_are_told_and_it_goes_on() -> None:
    steps = follow(*connected(subscribed("k-0"), gap("unreadable", "k-7")))
    assert since(steps) == ["state"]
    assert delivered(steps) == [gap("unreadable", "k-7")]
    assert Store({"a.b": "state:k-7"}) in steps


def keyed(identifier: str, key: str, data: Any) -> dict[str, Any]:
    return {**event(identifier), "key": key, "data": data}


def page(position: str, *events: dict[str, Any], **fields: Any) -> Answer:
    told = {"events": list(events), "position": position, "head": "k-9", "gap": None, **fields}
    return Answer(200, told)


def read(*pages: Reply, model: Any = None) -> tuple[State[Any], list[CallStep]]:
    left, clock = list(pages), Time()
    steps = read_state("a.b", model, "data > 1", 30.0, Rules(clock=clock, random=lambda: 0.5))
    return answered(steps, clock, lambda step: left.pop(0) if isinstance(step, Request) else None)


def test_the_pages_of_a_state_become_one() -> None:
    deletion = {**event("k-9"), "data": None, "deleted": "x"}
    state, steps = read(
        page("state:k-2:9", keyed("k-1", "x", 1), keyed("k-2", "y", 2)),
        Answer(503),
        page("state:k-8:9", keyed("k-8", "y", 3)),
        page("k-9", deletion),
    )
    assert {key: each.data for key, each in state.events.items()} == {"y": 3}
    assert state.position == "k-9"
    asked = [step.path for step in steps if isinstance(step, Request)]
    assert asked[0] == "/v1/channels/a.b?since=state&limit=1000&where=data%20%3E%201"
    assert "since=state%3Ak-2%3A9&" in asked[1]
    assert asked[1] == asked[2]


def test_a_gap_between_the_pages_of_a_state_begins_anew() -> None:
    state, _ = read(
        page("state:o-1:9", keyed("o-1", "x", 1)),
        page("k-9", keyed("k-2", "y", 2), gap={"reason": "reset"}),
    )
    assert list(state.events) == ["y"]


def test_a_state_that_does_not_fit_the_model_is_raised() -> None:
    with pytest.raises(InvalidData):
        read(page("k-9", keyed("k-1", "x", "text")), model=int)


def test_another_server_s_answer_is_no_state() -> None:
    with pytest.raises(Unavailable, match="Is this EventHub"):
        read(Answer(200, {}))
    with pytest.raises(UnknownChannel, match="no such channel"):
        read(Answer(404, {"code": "unknown_channel", "detail": "no such channel"}))


def test_the_pages_of_members_become_one_list() -> None:
    pages = [
        Answer(200, {"members": [{"id": "ana"}], "next": "ana"}),
        Answer(200, {"members": [{"id": "rui", "data": {"x": 1}}], "next": None}),
    ]
    members, steps = answered(
        read_members("a.b", 30.0, Rules(clock=Time())), Time(), lambda step: pages.pop(0)
    )
    assert [(each.id, each.data) for each in members] == [("ana", None), ("rui", {"x": 1})]
    assert [step.path for step in steps if isinstance(step, Request)] == [
        "/v1/channels/a.b/presence?limit=1000",
        "/v1/channels/a.b/presence?limit=1000&after=ana",
    ]
