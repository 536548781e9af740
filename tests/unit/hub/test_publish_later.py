"""hub/publisher.py: publishes without a task are counted and told, and take one if they must."""

from collections.abc import Sequence

import pytest

from eventhub.brokers.base import OnStored
from eventhub.errors import BrokerUnavailable, EventHubError, RateLimited
from eventhub.events.event import NewEvent, Receipt
from tests.unit.hub.test_publisher import Node, Results, receipt

Told = Sequence[Receipt | EventHubError] | Exception
EVENTS = [NewEvent("chat.a.b", b"1", 0), NewEvent("chat.a.b", b"2", 0)]
REFUSED = RateLimited("slow").with_limit("publish_rate")


class Later(Node):
    """A publisher whose broker is told what to answer, two seconds later."""

    def __init__(self, outcome: Results | Exception = (), *, takes: bool = True) -> None:
        super().__init__(outcome)
        self.answers: list[OnStored] = []
        self.told: list[Told] = []
        self._takes = takes
        self.broker.publish_later = self._publish_later  # type: ignore[attr-defined]  # beside its other methods

    def _publish_later(self, events: Sequence[NewEvent], done: OnStored) -> bool:
        assert events == EVENTS
        if self._takes:
            self.answers.append(done)
        return self._takes

    def ask(self) -> None:
        self.publisher.publish_later(EVENTS, self.told.append)

    def answer(self, outcome: Told | None) -> None:
        self.now += 2
        self.answers.pop()(outcome)


def test_what_is_stored_and_refused_is_counted_and_told_when_the_broker_answers() -> None:
    node = Later()
    node.ask()
    assert (node.metrics.notes, node.told) == ([], [])
    outcome: Results = [receipt(1), REFUSED]
    node.answer(outcome)
    assert node.told == [outcome]
    assert node.metrics.notes == [
        ("stored", 2.0),
        ("rejected", "chat", "rate_limited"),
        ("refused", "publish_rate"),
        ("published", "chat", 1),
    ]


def test_an_error_of_the_broker_is_told_and_no_event_is_counted() -> None:
    node = Later()
    node.ask()
    error = BrokerUnavailable("away")
    node.answer(error)
    assert node.told == [error]
    assert node.metrics.notes == [("stored", 2.0)]


def test_faults_of_counting_and_of_the_caller_are_noted() -> None:
    node = Later()
    node.ask()
    node.metrics.fault = ZeroDivisionError()
    node.answer([receipt(1), receipt(2)])
    assert len(node.told) == 1
    assert node.faults.counts == {"metrics": 1}

    def fail(outcome: object) -> None:
        raise ZeroDivisionError

    node.publisher.publish_later(EVENTS, fail)
    node.answer([receipt(1), receipt(2)])
    assert node.faults.counts == {"metrics": 2, "publish": 1}


@pytest.mark.parametrize("outcome", [[receipt(1), receipt(2)], BrokerUnavailable("away")])
@pytest.mark.parametrize("takes", ["at first", "not at all"])
def test_what_the_broker_does_not_take_is_published_in_a_task(
    takes: str, outcome: Results | Exception
) -> None:
    node = Later(outcome, takes=takes == "at first")
    node.ask()
    if takes == "at first":
        assert node.told == []
        node.answers.pop()(None)
    assert node.told == [outcome]
    assert node.broker.asked == ["chat.a.b"] * 2
    assert node.metrics.notes[0] == ("stored", 2.0), "only the second way is counted"
