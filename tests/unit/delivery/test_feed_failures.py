"""A subscriber whose writer or filter fails: only its own connection is closed."""

import pytest

from eventhub.delivery.encoding import LineEncoding
from eventhub.delivery.filtering import FilteredEncoding
from eventhub.delivery.subscriber import Subscriber, SubscriberState
from eventhub.events.event import LATEST, Earliest, Event
from eventhub.filters.registry import Filters
from tests.harness.builders import FeedDesk
from tests.harness.wire import Wire
from tests.unit.delivery.feed_node import STARTED, Node, Reader, gap, ids


class NotingDesk(FeedDesk):
    """FeedOwner that notes the unexpected errors."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[tuple[Subscriber, str]] = []
        self.unwritten_events: list[tuple[int, str]] = []

    def serving_failed(self, subscriber: Subscriber, error: Exception) -> None:
        self.failures.append((subscriber, str(error)))

    def unwritable(self, event: Event, error: Exception) -> None:
        self.unwritten_events.append((event.offset, str(error)))


class BrokenWire(Wire):
    """A writer that raises from its second write on."""

    def write(self, data: bytes) -> None:
        if self.data:
            raise ZeroDivisionError("a fault of ours")
        super().write(data)


@pytest.fixture
def desk() -> NotingDesk:
    return NotingDesk()


def test_a_page_that_cannot_be_written_closes_only_its_reader(desk: NotingDesk) -> None:
    node = Node(past=2, desk=desk)
    broken = node.join(Earliest(), BrokenWire())
    ana = node.join(Earliest())
    node.settle()
    node.publish()
    assert ana.told() == ["subscribed a-0, head a-2", *ids(1, 3)]
    assert desk.failures == [(broken.subscriber, "a fault of ours")]
    assert broken.state is SubscriberState.GONE
    assert len(node.feed) == 1


def test_an_event_that_cannot_be_written_closes_only_its_reader(desk: NotingDesk) -> None:
    node = Node(desk=desk)
    broken, ana = node.join(wire=BrokenWire()), node.join()
    node.publish()
    assert ana.told() == [*STARTED, "a-1"]
    node.publish()
    assert ana.told() == [*STARTED, *ids(1, 2)]
    assert desk.failures == [(broken.subscriber, "a fault of ours")]
    assert len(node.feed) == 1


def test_a_reader_whose_queued_events_cannot_be_written_does_not_lag(desk: NotingDesk) -> None:
    node = Node(desk=desk)
    broken = node.join(wire=BrokenWire())
    node.publish()
    broken.congest()
    assert broken.state is SubscriberState.GONE
    assert desk.failures == [(broken.subscriber, "a fault of ours")]
    assert len(node.feed) == 0


def test_a_failure_is_reported_once(desk: NotingDesk) -> None:
    node = Node(desk=desk)
    ana = node.join()
    for _ in range(2):
        node.feed.serving_failed(ana.subscriber, ZeroDivisionError("again"))
    assert desk.failures == [(ana.subscriber, "again")]


def test_a_fault_in_a_filter_closes_its_readers_and_no_others(
    desk: NotingDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would otherwise miss the events of that write, and not know it."""

    def fault(*_: object) -> bytes:
        raise ZeroDivisionError("a fault of ours")

    node, filters = Node(desk=desk), Filters()
    filtered = [
        Reader(node, LATEST, Wire(), filters.get(text))
        for text in ("data.x == 1", "data.x == 1", "true")
    ]
    for reader in filtered:
        node.feed.join(reader.subscriber)
    ana = node.join()
    monkeypatch.setattr(FilteredEncoding, "failed", fault)
    node.publish(2)
    assert filtered[0].told() == filtered[1].told() == STARTED
    assert filtered[2].told() == ana.told() == [*STARTED, *ids(1, 2)]
    assert desk.failures == [(each.subscriber, "a fault of ours") for each in filtered[:2]]
    assert len(node.feed) == 2


class FussyEncoding(LineEncoding):
    """Cannot encode one event."""

    def event(self, event: Event) -> bytes:
        if event.offset == 2:
            raise ZeroDivisionError("a fault of ours")
        return super().event(event)


def test_a_live_event_that_cannot_be_encoded_is_replaced_by_a_gap(desk: NotingDesk) -> None:
    node = Node(desk=desk)
    ana, bob = node.join(wire=Wire(FussyEncoding())), node.join()
    node.publish(3)
    assert ana.told() == [*STARTED, "a-1", gap("a-1", "a-3", "a-2", "unreadable"), "a-3"]
    assert bob.told() == [*STARTED, *ids(1, 3)]
    assert desk.unwritten_events == [(2, "a fault of ours")]
