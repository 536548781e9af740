"""subscriber.py: what a feed is told of a subscriber, and where a subscription begins."""

from eventhub.delivery.subscriber import Subscriber, SubscriberState, SubscriptionStart
from eventhub.events.event import Earliest, Latest
from tests.harness.wire import Wire
from tests.unit.delivery.feed_node import at


def started(_: Subscriber, __: SubscriptionStart) -> None:
    """Nobody is told."""


def test_a_new_subscriber_is_about_to_catch_up_and_stands_nowhere() -> None:
    wire = Wire()
    subscriber = Subscriber("chat.a", Earliest(), wire, started, "ana", watching=True, session="s1")
    assert (subscriber.channel, subscriber.since, subscriber.writer, subscriber.started) == (
        "chat.a",
        Earliest(),
        wire,
        started,
    )
    assert (subscriber.member, subscriber.watching, subscriber.session) == ("ana", True, "s1")
    assert subscriber.state is SubscriberState.CATCHING_UP
    assert (subscriber.position, subscriber.reading, subscriber.mark) == (None, False, 0)


def test_unless_it_says_so_a_subscriber_is_no_member_and_watches_nobody() -> None:
    subscriber = Subscriber("chat.a", Latest(), Wire(), started)
    assert (subscriber.member, subscriber.watching, subscriber.session) == ("", False, "")


def test_a_start_is_told_as_positions_and_whether_anything_is_missing() -> None:
    start = SubscriptionStart(at(3), at(7), recovered=False)
    assert start.as_dict() == {"position": "a-3", "head": "a-7", "recovered": False}
