"""eventhub_client/following.py: one's own member and the members of a channel, without I/O."""

import pytest

from eventhub_client.errors import Forbidden
from eventhub_client.following import Follower
from eventhub_client.members import Membership
from eventhub_client.positions import Subscription
from eventhub_client.steps import (
    Closed,
    Connect,
    Deliver,
    FollowStep,
    Join,
    Message,
    Receive,
    Received,
    Reply,
    Send,
    Silence,
)
from tests.unit.client.shells import Time, connected, subscribed, until_starved

COUNTED = {"count": 1, "members": [{"id": "ana"}]}
JOIN = {"type": "join", "channel": "a.b", "member": {"id": "ana"}}


def follow(
    *replies: Reply, member: Membership | None = None, presence: bool = False
) -> list[FollowStep]:
    subscription = Subscription(("a.b", "c.d"), "latest", {}, member=member, presence=presence)
    steps = Follower(subscription, Time(), lambda: 0.5).steps()
    return until_starved(steps, replies, (Connect, Receive))


def sent(steps: list[FollowStep]) -> list[Message]:
    return [message for step in steps if isinstance(step, Send) for message in step.messages]


def delivered(steps: list[FollowStep]) -> list[object]:
    return [step.message["type"] for step in steps if isinstance(step, Deliver)]


def test_the_member_and_its_newest_data_go_with_each_subscription() -> None:
    member = Membership("ana", {"at": 1})
    steps = follow(*connected(), member=member)
    assert [each["member"] for each in sent(steps)] == [{"id": "ana", "data": {"at": 1}}] * 2
    assert Join(("a.b", "c.d"), 0) in steps
    member.update({"at": 2})
    later = follow(*connected(), Closed(), *connected(), member=member)
    assert [each["member"]["data"] for each in sent(later)] == [{"at": 2}] * 4
    assert Join(("a.b", "c.d"), 1) in later


def test_without_a_member_nobody_joins() -> None:
    steps = follow(*connected())
    assert not any("member" in each or "presence" in each for each in sent(steps))
    assert not any(isinstance(step, Join) for step in steps)


def test_members_are_delivered_only_to_those_who_ask() -> None:
    messages = connected(subscribed("k-1", **COUNTED), JOIN)
    assert delivered(follow(*messages, presence=True)) == ["subscribed", "join"]
    assert all(each["presence"] is True for each in sent(follow(*messages, presence=True)))
    assert delivered(follow(*messages)) == []
    assert delivered(follow(*connected(subscribed("k-1")), presence=True)) == []


def test_the_number_of_members_may_be_enough() -> None:
    subscription = Subscription(("a.>",), "latest", {}, presence="count")
    counted = {"type": "presence", "channel": "a.>", "count": 12}
    steps = until_starved(
        Follower(subscription, Time()).steps(), connected(counted), (Connect, Receive)
    )
    assert [each["presence"] for each in sent(steps)] == ["count"]
    assert delivered(steps) == ["presence"]


LIMITED = {"type": "error", "ref": "update", "code": "rate_limited", "retry_after": 2.0}


def test_an_update_is_not_sent_again_on_the_next_connection_which_begins_with_it() -> None:
    member = Membership("ana", {"at": 1})
    steps = follow(*connected(LIMITED), Closed(), *connected(), Silence(), member=member)
    assert [step.seconds for step in steps if isinstance(step, Receive)][-3:] == [25.0] * 3
    assert [each["type"] for each in sent(steps)] == ["subscribe"] * 4 + ["ping"]


def test_an_update_that_is_due_waits_for_no_message() -> None:
    clock = Time()
    subscription = Subscription(("a.b",), "latest", {}, member=Membership("ana"))
    steps = Follower(subscription, clock, lambda: 0.5).steps()
    replies, step = iter([*connected(LIMITED), Received({"type": "pong"})]), next(steps)
    for reply in replies:
        while not isinstance(step, Connect | Receive):
            step = steps.send(None)
        clock.now += 1.5
        step = steps.send(reply)
    assert step == Receive(0.5)
    clock.now += 1.5
    assert steps.send(Received({"type": "pong"})) == Receive(0.0)


def test_an_update_that_was_one_too_many_is_sent_again_with_the_newest_data() -> None:
    member = Membership("ana", {"at": 1})
    steps = follow(*connected(LIMITED), Silence(), Silence(), member=member)
    waits = [step.seconds for step in steps if isinstance(step, Receive)]
    assert waits == [25.0, 25.0, 2.0, 25.0, 25.0]
    assert sent(steps)[2:] == [
        {"type": "update", "ref": "update", "channel": "a.b", "data": {"at": 1}},
        {"type": "update", "ref": "update", "channel": "c.d", "data": {"at": 1}},
        {"type": "ping"},
    ]


def test_an_update_that_is_refused_for_good_is_raised() -> None:
    error = Received({"type": "error", "ref": "update", "code": "forbidden", "message": "token"})
    with pytest.raises(Forbidden, match="forbidden: token"):
        follow(*connected(), error, member=Membership("ana"))
