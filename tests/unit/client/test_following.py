"""eventhub_client/following.py: positions, reconnections and fatal errors, without I/O."""

import pytest

from eventhub_client.errors import Forbidden, Refused, Unauthorized, UnknownChannel
from eventhub_client.following import Follower
from eventhub_client.positions import Subscription
from eventhub_client.steps import (
    Answer,
    Close,
    Closed,
    Connect,
    Deliver,
    FollowStep,
    Message,
    Receive,
    Received,
    RenewToken,
    Reply,
    Send,
    Silence,
    Store,
    Unreachable,
    Wait,
    Warn,
)
from tests.unit.client.shells import HELLO, Time, connected, event, subscribed, until_starved

ASKS = (Connect, Receive)


def follow(
    *replies: Reply,
    positions: dict[str, str] | None = None,
    since: str = "latest",
    renewable: bool = False,
    clock: Time | None = None,
) -> list[FollowStep]:
    subscription = Subscription(("a.b",), since, positions or {}, renewable=renewable)
    clock = clock or Time()
    follower = Follower(subscription, clock, lambda: 0.5)
    return until_starved(follower.steps(), replies, ASKS, clock)


def sent(steps: list[FollowStep]) -> list[Message]:
    return [message for step in steps if isinstance(step, Send) for message in step.messages]


def waits(steps: list[FollowStep]) -> list[float]:
    return [step.seconds for step in steps if isinstance(step, Wait)]


def test_each_channel_is_subscribed_at_its_stored_position_and_the_others_at_since() -> None:
    subscription = Subscription(("a.b", "c.d", "a.b"), "-20", {"a.b": "k-7", "e.f": "k-1"})
    steps = until_starved(Follower(subscription).steps(), connected(), ASKS)
    assert [(each["channel"], each["since"]) for each in sent(steps)] == [
        ("a.b", "k-7"),
        ("c.d", "-20"),
    ]


def test_a_subscription_has_a_number_because_a_name_may_be_too_long_for_a_reference() -> None:
    subscription = Subscription(("a." + "b" * 190, "c.d"), "latest", {})
    steps = until_starved(Follower(subscription).steps(), connected(), ASKS)
    assert [each["ref"] for each in sent(steps)] == [0, 1]


def test_the_first_position_is_stored_before_any_event() -> None:
    assert Store({"a.b": "k-3"}) in follow(*connected(subscribed("k-3")))


def test_the_first_position_is_not_stored_if_a_gap_follows() -> None:
    gap = {"type": "gap", "channel": "a.b", "position": "k-9", "reason": "expired"}
    steps = follow(*connected(subscribed("k-3", recovered=False), gap))
    assert [each for each in steps if isinstance(each, Store)] == [Store({"a.b": "k-9"})]


def test_the_position_of_a_channel_that_is_resumed_is_that_of_its_events() -> None:
    steps = follow(*connected(subscribed("k-9"), event("k-5")), positions={"a.b": "k-4"})
    assert not any(isinstance(each, Store) for each in steps[: steps.index(Deliver(event("k-5")))])


def test_an_event_is_delivered_whatever_its_offset_because_the_server_knows_the_log() -> None:
    assert Deliver(event("k-2")) in follow(*connected(subscribed("k-3"), event("k-2")))


def test_a_position_is_stored_when_the_next_item_is_wanted_and_not_before() -> None:
    follower = Follower(Subscription(("a.b",), "latest", {})).steps()
    replies = iter(connected(subscribed("k-3"), event("k-4")))
    step = next(follower)
    while not isinstance(step, Deliver):
        step = follower.send(next(replies) if isinstance(step, ASKS) else None)
    assert follower.send(None) == Store({"a.b": "k-4"})


def test_a_position_of_the_filter_is_stored_and_resumed_and_is_no_item() -> None:
    position = {"type": "position", "channel": "a.b", "position": "k-9"}
    steps = follow(*connected(subscribed("k-3"), position), Closed(), *connected())
    assert not any(isinstance(each, Deliver) for each in steps)
    assert [each for each in steps if isinstance(each, Store)][-1] == Store({"a.b": "k-9"})
    assert [each["since"] for each in sent(steps)] == ["latest", "k-9"]


def test_the_filter_is_sent_for_each_channel_on_each_connection() -> None:
    subscription = Subscription(("a.b", "c.>"), "latest", {}, where="data > 1")
    steps = until_starved(
        Follower(subscription).steps(), [*connected(), Closed(), *connected()], ASKS
    )
    assert [each["where"] for each in sent(steps)] == ["data > 1"] * 4


def test_without_a_filter_none_is_sent() -> None:
    assert "where" not in sent(follow(*connected()))[0]


@pytest.mark.parametrize(
    "end",
    [
        Closed(),
        Closed(1001),
        Closed(1006),
        Closed(1012),
        Closed(1013),
        Closed(3000, "of a proxy"),
        Closed(4408, "slow_consumer"),
        Closed(4429, "too_many_connections"),
        Closed(4503, "broker_unavailable"),
        Received({"type": "goodbye", "reconnect_in": 0.25}),
        Received({"type": "error", "code": "broker_unavailable", "ref": 0}),
        Received({"type": "error", "code": "shutting_down", "retry_after": 2.0}),
    ],
)
def test_after_a_temporary_end_each_channel_resumes_after_the_last_item(end: Reply) -> None:
    steps = follow(*connected(subscribed("k-3"), event("k-4")), end, *connected())
    assert [each["since"] for each in sent(steps)] == ["latest", "k-4"]
    assert steps.count(Close()) == 1


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (Closed(4403, "forbidden"), Forbidden),
        (Closed(4404, "unknown_channel"), UnknownChannel),
        (Closed(4401, "token_expired"), Unauthorized),
        (Closed(4400, "invalid_frame"), Refused),
        (Closed(4413, "payload_too_large"), Refused),
        (Closed(1002), Refused),
        (Closed(1009), Refused),
        (Received({"type": "error", "code": "unknown_channel", "ref": 0}), UnknownChannel),
        (Received({"type": "error", "code": "invalid_since", "ref": 0}), Refused),
        (Received({"type": "error", "code": "revoked"}), Forbidden),
        (Received({"type": "unsubscribed", "channel": "a.b", "reason": "forbidden"}), Forbidden),
    ],
)
def test_a_fatal_end_is_raised_with_its_code(end: Reply, kind: type[Refused]) -> None:
    with pytest.raises(kind) as caught:
        follow(*connected(subscribed("k-3")), end)
    assert type(caught.value) is kind
    code = end.reason if isinstance(end, Closed) else None
    if code:
        assert caught.value.code == code


def test_a_handshake_that_is_refused_for_good_is_raised_and_a_temporary_one_is_not() -> None:
    with pytest.raises(Forbidden, match="forbidden: no grant"):
        follow(Answer(403, {"code": "forbidden", "detail": "no grant"}))
    steps = follow(Answer(503, {"code": "node_full"}, 7.0), Unreachable("refused"))
    assert waits(steps) == [7.5, 3.75]


def test_waits_grow_with_the_time_without_a_connection() -> None:
    assert waits(follow(*[Unreachable("refused")] * 5)) == [0.5, 0.5, 0.5, 0.75, 1.125]


def test_a_goodbye_says_when_to_come_back_and_an_error_adds_to_the_wait() -> None:
    goodbye = Received({"type": "goodbye", "reconnect_in": 0.25})
    assert waits(follow(*connected(), goodbye)) == [0.25]
    error = Received({"type": "error", "code": "broker_unavailable", "ref": 0, "retry_after": 2.0})
    assert waits(follow(*connected(), error)) == [2.5]


@pytest.mark.parametrize(("lasted", "delay"), [(8.0, 10.0), (8.25, 0.5)])
def test_only_a_connection_that_lasts_longer_than_the_longest_wait_before_it_counts(
    lasted: float, delay: float
) -> None:
    clock, waited = Time(), list[float]()
    steps = Follower(Subscription(("a.b",), "latest", {}), clock, lambda: 0.5).steps()
    goodbye = Received({"type": "goodbye", "reconnect_in": 8.0})
    down = Unreachable("refused")
    replies = iter([*connected(), goodbye, down, *connected(), Closed(), down])
    step = next(steps)
    while len(waited) < 3:
        if isinstance(step, Wait):
            waited.append(step.seconds)
        clock.pass_with(step)
        reply = next(replies) if isinstance(step, ASKS) else None
        clock.now += lasted if isinstance(reply, Closed) else 0
        step = steps.send(reply)
    assert waited == [8.0, 4.0, delay]


def test_silence_for_a_heartbeat_asks_and_a_second_one_reconnects() -> None:
    heartbeat = Received({"type": "hello", "limits": {"heartbeat": 3.0}})
    steps = follow(*connected()[:1], heartbeat, Silence(), Silence())
    assert [each.seconds for each in steps if isinstance(each, Receive)] == [25.0, 3.0, 3.0]
    assert sent(steps)[-1] == {"type": "ping"}
    assert steps[-1] == Connect()
    alive = follow(*connected(), Silence(), Received({"type": "pong"}), Silence())
    assert sent(alive).count({"type": "ping"}) == 2
    assert Close() not in alive


def test_a_connection_has_the_heartbeat_of_its_own_hello() -> None:
    heartbeat = Received({"type": "hello", "limits": {"heartbeat": 3.0}})
    steps = follow(*connected()[:1], heartbeat, Closed(), *connected())
    assert [each.seconds for each in steps if isinstance(each, Receive)] == [25.0, 3.0, 25.0, 25.0]


def test_a_token_that_ends_is_renewed_if_it_comes_from_a_function() -> None:
    expiring = Received({"type": "expiring", "expires_in": 30.0})
    assert RenewToken() in follow(*connected(), expiring, renewable=True)
    assert RenewToken() not in follow(*connected(), expiring, renewable=False)


def test_after_token_expired_a_function_gets_another_chance_but_not_for_ever() -> None:
    expired = Closed(4401, "token_expired")
    steps = follow(*connected(subscribed("k-1")), expired, *connected(), renewable=True)
    assert [each["since"] for each in sent(steps)] == ["latest", "k-1"]
    refused = Answer(401, {"code": "token_expired"})
    assert follow(*[refused] * 3, renewable=True).count(Connect()) == 4
    with pytest.raises(Unauthorized):
        follow(*[refused] * 4, renewable=True)
    accepted = [*connected(subscribed("k-1")), expired]
    assert follow(*accepted * 5, renewable=True).count(Connect()) == 6


def test_a_refused_renewal_that_is_temporary_changes_nothing() -> None:
    busy = Received({"type": "error", "code": "keys_unavailable", "ref": "auth"})
    assert Close() not in follow(*connected(), busy, HELLO, renewable=True)


def test_unknown_messages_are_ignored() -> None:
    assert not {Close, Deliver, Store} & set(map(type, follow(*connected({"type": "new"}))))


def test_no_channel_is_told_to_the_caller() -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        Subscription((), "latest", {})


def test_a_filter_that_fails_is_warned_of() -> None:
    failed = {"type": "filter_failed", "channel": "a.b", "id": "k-4", "reason": "no 'x'"}
    (warning,) = (step for step in follow(*connected(failed)) if isinstance(step, Warn))
    assert warning.text == "the filter fails in a.b at k-4, and perhaps later: no 'x'"
