"""hub/feed_registry.py as the owner of feeds: what is logged, counted and traced for them."""

from collections.abc import Callable

import pytest

from eventhub.brokers.memory import MemoryBroker
from eventhub.common.faults import Faults
from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.events.channel_types import Retention
from eventhub.events.event import Event, Gap, Latest, Position
from eventhub.hub import feed_registry, subscription_log
from eventhub.hub.backpressure import Backpressure
from eventhub.hub.feed_registry import FeedRegistry
from eventhub.hub.hub import Hub
from eventhub.hub.tasks import Tasks
from eventhub.observability.metrics import Metrics
from tests.harness.builders import channel_type
from tests.harness.wire import Wire

NOW = 1_700_000_000_000
FAULT = ZeroDivisionError("a fault of ours")


class Owner:
    """A registry with one feed, and notes of what it passes on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.notes: list[tuple[object, ...]] = []
        metrics = Metrics(["type"])
        for target, names in (
            (metrics, ["flushed"]),
            (metrics.faults, ["note"]),
            (subscription_log, ["began", "missed"]),
        ):
            for name in names:
                monkeypatch.setattr(target, name, self._noting(name))
        monkeypatch.setattr(feed_registry, "unix_milliseconds", lambda: NOW)
        monkeypatch.setattr(feed_registry, "_soon", lambda _: None)
        self.backpressure = Backpressure()
        tasks = Tasks(Faults())
        tasks.ended = True  # no channel is subscribed
        self.feeds = FeedRegistry(
            MemoryBroker(lambda _: Retention(1, None), Hub.now),
            metrics,
            self,  # type: ignore[arg-type]  # as much of tracing as is asked
            tasks,
            self.backpressure,
        )
        self.feeds.audience_failed = self._noting("audience failed")
        self.feed = self.feeds.open("chat.a", channel_type())
        self.subscriber = Subscriber("chat.a", Latest(), Wire(), lambda *_: None, session="s1")

    def fanned_out(self, *what: object) -> None:
        self.notes.append(("fanned_out", *what))

    def _noting(self, name: str) -> Callable[..., None]:
        return lambda *what, **fields: self.notes.append((name, *what, *fields.items()))


@pytest.fixture
def owner(monkeypatch: pytest.MonkeyPatch) -> Owner:
    return Owner(monkeypatch)


def event(offset: int, time: int = NOW) -> Event:
    return Event("chat.a", "e", offset, offset - 1, time, b"1")


def test_subscriptions_and_gaps_are_logged(owner: Owner) -> None:
    start = SubscriptionStart(Position("e", 1), Position("e", 2), recovered=True)
    gap = Gap(Position("e", 1), Position("e", 4), Position("e", 3), "expired")
    owner.feeds.began(owner.subscriber, start)
    owner.feeds.missed("chat.a", gap, None, 7)
    assert owner.notes == [
        ("began", owner.subscriber, start),
        ("missed", "chat.a", gap, None, 7),
    ]


def test_faults_are_noted_with_their_place(owner: Owner) -> None:
    owner.feeds.serving_failed(owner.subscriber, FAULT)
    owner.feeds.unwritable(event(3), FAULT)
    assert owner.notes == [
        ("note", "subscriber", FAULT, ("session", "s1"), ("channel", "chat.a")),
        ("note", "encoding", FAULT, ("channel", "chat.a"), ("position", "e-3")),
    ]


def test_a_pattern_that_cannot_be_written_to_is_reported(owner: Owner) -> None:
    owner.feeds._flush_failed("chat.*", FAULT)
    assert owner.notes == [
        ("note", "pattern", FAULT, ("pattern", "chat.*")),
        ("audience failed", "chat.*"),
    ]
    assert not owner.feeds.repairs.pending


def test_publishers_wait_for_feeds_that_are_served_alone(owner: Owner) -> None:
    owner.feeds.fell_behind(owner.feed)
    assert owner.backpressure.channels == ["chat.a"]
    owner.feeds.close_if_unused(owner.feed)
    assert owner.backpressure.channels == []
    owner.feeds.fell_behind(owner.feed)
    assert owner.backpressure.channels == []


def test_a_feed_that_has_a_successor_lets_no_publisher_go_on(owner: Owner) -> None:
    owner.feeds.close_if_unused(owner.feed)
    successor = owner.feeds.open("chat.a", channel_type())
    owner.feeds.fell_behind(successor)
    owner.feeds.progressed(owner.feed)
    assert owner.backpressure.channels == ["chat.a"]
    owner.feeds.progressed(successor)
    assert owner.backpressure.channels == []


def test_what_was_written_is_observed_by_the_age_of_its_events(owner: Owner) -> None:
    events = [event(1, NOW - 1500), event(2, NOW - 1500), event(3), event(4, NOW + 9)]
    owner.feeds._wrote(owner.feed, events, 0.25)
    assert owner.notes == [
        ("flushed", "type", [(1.5, 2), (0.0, 1), (0.0, 1)], 0.25),
        ("fanned_out", "chat.a", events, 0.25, 0),
    ]
