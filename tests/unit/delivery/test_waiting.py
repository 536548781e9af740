"""delivery/waiting.py: subscribers of a pattern begin in turns of the loop."""

from collections.abc import Callable

import pytest

from eventhub.delivery import waiting
from eventhub.delivery.pattern_subscriber import PatternSubscriber
from eventhub.delivery.waiting import WaitingSubscribers
from eventhub.events.event import LATEST
from tests.harness.wire import Wire


class Audience:
    """Subscribers that begin in three channels each."""

    def __init__(self) -> None:
        self.begun: list[PatternSubscriber] = []
        self.due: list[Callable[[], None]] = []
        self.waiting = WaitingSubscribers(self._begin, self.due.append)
        self.waiting.listed = True

    def _begin(self, subscriber: PatternSubscriber) -> int:
        self.begun.append(subscriber)
        return 3

    def turn(self) -> None:
        due, self.due[:] = list(self.due), []
        for work in due:
            work()


@pytest.fixture
def audience(monkeypatch: pytest.MonkeyPatch) -> Audience:
    monkeypatch.setattr(waiting, "TURN_CHANNELS", 6)
    return Audience()


def subscriber() -> PatternSubscriber:
    return PatternSubscriber("drop.*", LATEST, Wire(), lambda *_: None)


def test_as_many_begin_in_a_turn_as_have_the_channels_of_a_turn(audience: Audience) -> None:
    each = [subscriber() for _ in range(5)]
    for one in each:
        audience.waiting.add(one)
    audience.waiting.advance()
    assert audience.begun == each[:2]
    audience.waiting.advance()  # another feed has opened meanwhile
    assert audience.begun == each[:2]
    audience.turn()
    assert audience.begun == each[:4]
    audience.turn()
    assert audience.begun == each
    assert not audience.due


def test_one_that_leaves_before_its_turn_does_not_begin(audience: Audience) -> None:
    each = [subscriber() for _ in range(4)]
    for one in each:
        audience.waiting.add(one)
    audience.waiting.advance()
    audience.waiting.discard(each[2])
    audience.turn()
    assert audience.begun == [each[0], each[1], each[3]]


def test_one_that_is_expected_begins_when_it_is_added(audience: Audience) -> None:
    expected, other = subscriber(), subscriber()
    audience.waiting.expect(expected)
    audience.waiting.add(other)
    audience.waiting.advance()
    assert audience.begun == [other]
    audience.waiting.add(expected)
    assert audience.begun == [other, expected]
    assert not audience.waiting.subscribers


def test_the_bound_of_a_turn_holds_for_every_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "TURN_CHANNELS", 8)
    audience = Audience()
    each = [subscriber() for _ in range(5)]
    for one in each:
        audience.waiting.add(one)
    audience.waiting.advance()
    assert len(audience.begun) == 2, "each takes four of eight"
    audience.waiting.advance()
    audience.turn()
    assert len(audience.begun) == 4
    audience.turn()
    late = subscriber()
    audience.waiting.expect(late)
    audience.waiting.advance()
    audience.waiting.discard(late)
    audience.waiting.subscribers[late] = None
    audience.waiting.advance()
    assert audience.begun == [*each, late]


def test_one_more_channel_than_a_turn_has_is_for_the_same_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "TURN_CHANNELS", 5)
    audience = Audience()
    for one in [subscriber() for _ in range(3)]:
        audience.waiting.add(one)
    audience.waiting.advance()
    assert len(audience.begun) == 2, "one channel was left for the second"
