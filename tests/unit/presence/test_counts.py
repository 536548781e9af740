"""presence/counts.py: whoever asks for the number of members has the right one within a second."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from eventhub.delivery.subscriber import Subscriber
from eventhub.events.event import LATEST
from eventhub.presence import counts
from eventhub.presence.counts import COUNT_SECONDS, CountWatchers
from eventhub.presence.roster import Roster
from tests.harness.wire import Wire


class House:
    """Members of several channels, and subscribers that count them."""

    def __init__(self) -> None:
        self.roster = Roster("n1")
        self.woken = 0
        self.failed: list[Subscriber] = []
        self.counts = CountWatchers(self.roster, self.wake, self.fail)
        self.now = 100.0

    def wake(self) -> None:
        self.woken += 1

    def fail(self, subscriber: Subscriber, _: Exception) -> None:
        self.failed.append(subscriber)

    def come(self, channel: str, *members: str) -> None:
        for member in members:
            for change in self.roster.join(channel, member):
                self.counts.on_change(change)

    def go(self, channel: str, *members: str) -> None:
        for member in members:
            for change in self.roster.leave(channel, member):
                self.counts.on_change(change)

    def watch(self, pattern: str) -> tuple[Wire, Subscriber, Any]:
        wire = Wire()
        subscriber = Subscriber(pattern, LATEST, wire, lambda *_: None, watching="count")
        return wire, subscriber, self.counts.add(subscriber)["count"]

    def flush(self) -> int:
        self.now += COUNT_SECONDS
        return len(list(self.counts.flush(self.now)))


def told(wire: Wire) -> list[int]:
    return [message["count"] for message in wire.messages]


def test_the_members_of_every_channel_of_a_pattern_are_counted() -> None:
    house = House()
    house.come("chat.a", "ana", "bob")
    house.come("iot.a", "ana")
    wire, _, count = house.watch("chat.>")
    assert count == 2
    house.come("chat.b", "ana")
    house.go("chat.a", "bob")
    house.come("chat.c", "cem", "dan")
    house.come("iot.a", "eve")
    house.flush()
    assert wire.messages == [{"type": "presence", "channel": "chat.>", "count": 4}]
    assert not house.counts.due


def test_a_change_that_is_undone_in_time_is_not_told_and_nobody_is_woken_for_others() -> None:
    house = House()
    wire, _, _ = house.watch("chat.>")
    house.come("iot.a", "ana")
    assert house.woken == 0
    house.come("chat.a", "ana")
    house.go("chat.a", "ana")
    assert house.woken > 0
    house.flush()
    assert wire.messages == []


def test_a_second_lies_between_two_messages() -> None:
    house = House()
    wire, _, _ = house.watch("chat.a")
    house.come("chat.a", "ana")
    house.flush()
    house.come("chat.a", "bob")
    house.now += COUNT_SECONDS - 0.01
    assert list(house.counts.flush(house.now)) == []
    assert (told(wire), house.counts.due) == ([1], True)
    house.flush()
    assert told(wire) == [1, 2]


def test_a_reader_without_room_gets_the_number_when_it_has_room() -> None:
    house = House()
    wire, subscriber, _ = house.watch("chat.>")
    other, _, _ = house.watch("chat.>")
    wire.full = True
    house.come("chat.a", "ana")
    house.flush()
    assert (told(wire), told(other)) == ([], [1])
    wire.full = False
    house.counts.drained(subscriber)
    house.flush()
    assert (told(wire), told(other)) == ([1], [1])


def test_whoever_has_left_is_told_nothing_and_whoever_comes_begins_with_the_number() -> None:
    house = House()
    wire, subscriber, _ = house.watch("chat.>")
    house.come("chat.a", "ana")
    house.counts.discard(subscriber)
    house.counts.discard(subscriber)
    house.counts.drained(subscriber)
    assert not house.counts.due
    assert house.flush() == 0
    _, _, count = house.watch("chat.>")
    assert (told(wire), count) == ([], 1)


def test_a_connection_that_cannot_be_written_to_ends_and_others_are_told() -> None:
    house = House()
    wire, subscriber, _ = house.watch("chat.>")
    other, _, _ = house.watch("chat.>")

    def fail(data: bytes) -> None:
        raise LookupError(data)

    wire.write = fail  # type: ignore[method-assign]
    house.come("chat.a", "ana")
    house.flush()
    assert (house.failed, told(other)) == ([subscriber], [1])
    house.come("chat.a", "bob")
    house.flush()
    assert (house.failed, told(other)) == ([subscriber], [1, 2])


def test_a_write_that_fails_is_looked_for_among_those_that_were_written_to_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not among all watchers, of which there may be thousands."""

    class Counting(Wire):
        looks = 0

        @property
        def write(self) -> Callable[[bytes], None]:
            Counting.looks += 1
            return self.take

        def take(self, data: bytes) -> None:
            raise LookupError(data)

    monkeypatch.setattr(counts, "SLICE", 2)
    house = House()
    for _ in range(20):
        subscriber = Subscriber("chat.>", LATEST, Counting(), lambda *_: None, watching="count")
        house.counts.add(subscriber)
    house.come("chat.a", "ana")
    house.flush()
    assert len(house.failed) == 20
    assert Counting.looks == 20 + 20 * 2, "to write, and for each failure those of one slice"


def test_nothing_is_kept_of_the_last_reader_whose_connection_failed() -> None:
    house = House()
    wire, subscriber, _ = house.watch("chat.>")

    def fail(data: bytes) -> None:
        raise LookupError(data)

    wire.full = True
    house.come("chat.a", "ana")
    house.flush()
    wire.full = False
    wire.write = fail  # type: ignore[method-assign]
    house.counts.drained(subscriber)
    house.flush()
    assert house.failed == [subscriber]
    house.counts.discard(subscriber)
    assert not house.counts._counted
    house.woken = 0
    house.come("chat.a", "bob")
    assert house.woken == 0


@pytest.mark.parametrize("seed", range(5))
def test_the_number_is_that_of_the_roster_whatever_comes_and_goes(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "SLICE", 2)
    chance, house = Random(seed), House()
    readers: list[tuple[str, Wire, Subscriber, int]] = []
    for _ in range(300):
        channel = chance.choice(["chat.a", "chat.b", "chat.b.c", "iot.a"])
        member = chance.choice("abcdef")
        match chance.randrange(8):
            case 0 | 1 | 2:
                house.come(channel, member)
            case 3 | 4 if member in house.roster.members(channel):
                house.go(channel, member)
            case 5:
                pattern = chance.choice(["chat.*", "chat.>", ">", "chat.a"])
                wire, subscriber, count = house.watch(pattern)
                readers.append((pattern, wire, subscriber, count))
            case 6 if readers:
                house.counts.discard(readers.pop(chance.randrange(len(readers)))[2])
            case _:
                house.flush()
    house.flush()
    for pattern, wire, subscriber, first in readers:
        _, _, expected = house.watch(pattern)
        fresh = CountWatchers(house.roster, house.wake, house.fail).add(subscriber)["count"]
        assert (told(wire) or [first])[-1] == fresh == expected
