"""subscriptions.py: one subscription, or many, behave as in a dictionary."""

import pytest

from eventhub.delivery.subscriber import Subscriber
from eventhub.events.event import LATEST
from eventhub.session.subscriptions import Subscriptions
from tests.harness.builders import Nowhere


def subscriber(channel: str) -> Subscriber:
    return Subscriber(channel, LATEST, Nowhere(), lambda subscriber, start: None)


def filled(*channels: str) -> Subscriptions:
    found = Subscriptions()
    for channel in channels:
        found[channel] = subscriber(channel)
    return found


@pytest.mark.parametrize("channels", [(), ("a",), ("a", "b"), ("a", "b", "c")])
def test_it_has_what_was_put_in(channels: tuple[str, ...]) -> None:
    found = filled(*channels)
    assert (len(found), tuple(found), bool(found)) == (len(channels), channels, bool(channels))
    assert [each.channel for each in found.values()] == list(channels)
    assert [channel in found for channel in ("a", "b", "z", 7)] == [
        channel in channels for channel in ("a", "b", "z", 7)
    ]
    assert found.get("z") is None
    with pytest.raises(KeyError, match="'z'"):
        found["z"]


@pytest.mark.parametrize("channels", [(), ("a",), ("a", "b")])
def test_what_is_not_there_cannot_be_taken_out(channels: tuple[str, ...]) -> None:
    found = filled(*channels)
    with pytest.raises(KeyError):
        del found["z"]
    assert tuple(found) == channels


@pytest.mark.parametrize("channels", [("a",), ("a", "b")])
def test_a_subscription_that_was_taken_out_may_be_put_in_again(channels: tuple[str, ...]) -> None:
    found = filled(*channels)
    assert found.pop("a").channel == "a"
    assert "a" not in found
    assert len(found) == len(channels) - 1
    again = found["a"] = subscriber("a")
    assert found["a"] is again


@pytest.mark.parametrize("channels", [("a",), ("b", "a")])
def test_a_channel_has_its_newest_subscription(channels: tuple[str, ...]) -> None:
    found = filled(*channels)
    newest = found["a"] = subscriber("a")
    assert (found["a"], len(found)) == (newest, len(channels))


def test_an_answer_is_due_once() -> None:
    found = Subscriptions()
    assert found.answered("a") is None
    found.expect_answer("a", 1)
    found.expect_answer("b", "two")
    assert [found.answered("a"), found.answered("a"), found.answered("b")] == [1, None, "two"]


def test_answered_commands_take_no_memory() -> None:
    found = Subscriptions()
    found.expect_answer("a", None)
    found.answered("z")
    assert found._due is not None
    found.answered("a")
    assert found._due is None
