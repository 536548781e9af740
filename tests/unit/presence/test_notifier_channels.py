"""Several channels in one flush, and watchers that leave or fail meanwhile."""

from collections.abc import Iterator

import pytest

from eventhub.delivery.subscriber import Subscriber
from eventhub.events.event import Latest
from eventhub.presence.member_data import PresenceChange
from eventhub.presence.notifier import PresenceWatchers
from eventhub.presence.roster import Roster
from tests.harness.wire import Wire
from tests.unit.presence.room import CROWD, small_sizes


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    with small_sizes():
        yield


class Broken(Wire):
    """A connection whose buffer cannot be written to."""

    def write(self, data: bytes) -> None:
        raise RuntimeError("broken")


class House:
    """Channels with one watcher each."""

    def __init__(self, *channels: str) -> None:
        self.roster = Roster("n1")
        self.failed: list[tuple[Subscriber, str]] = []
        self.watchers = PresenceWatchers(self.roster, lambda: None, self._fail)
        self.wires: dict[str, Wire] = {}
        self.subscribers = {channel: self.watch(channel) for channel in channels}

    def _fail(self, subscriber: Subscriber, error: Exception) -> None:
        self.failed.append((subscriber, str(error)))

    def watch(self, channel: str, wire: Wire | None = None) -> Subscriber:
        wire = self.wires[channel] = wire or Wire()
        subscriber = Subscriber(channel, Latest(), wire, lambda *_: None, watching=True)
        self.watchers.add(subscriber)
        return subscriber

    def come(self, channel: str, *members: str) -> None:
        for member in members:
            self.roster.join(channel, member)
            self.watchers.on_change(PresenceChange(channel, member, None, b""))

    def told(self, channel: str) -> list[str]:
        return [message["type"] for message in self.wires[channel].messages]


def test_a_channel_that_all_have_left_during_a_flush_holds_up_no_other() -> None:
    house = House("a", "b", "c")
    for channel in ("a", "b", "c"):
        house.come(channel, "ana")
    flush = house.watchers.flush(100)
    next(flush)
    house.watchers.discard(house.subscribers["b"])
    assert len(list(flush)) == 1
    assert (house.told("a"), house.told("b"), house.told("c")) == (["join"], [], ["join"])


def test_a_watcher_that_begins_during_a_flush_is_sent_nothing_that_it_knows() -> None:
    house = House("a", "b", "c")
    for channel in ("a", "b", "c"):
        house.come(channel, "ana")
    flush = house.watchers.flush(100)
    next(flush)
    house.watchers.discard(house.subscribers["b"])
    house.watch("b")
    assert len(list(flush)) == 1
    assert (house.told("b"), house.told("c")) == ([], ["join"])


def test_a_crowd_that_must_wait_holds_up_no_other_channel() -> None:
    house = House("crowd", "few")
    house.come("crowd", *"abcdefgh")
    list(house.watchers.flush(100))
    house.come("crowd", "i")
    house.come("few", "ana")
    list(house.watchers.flush(100.5))
    assert (house.told("crowd"), house.told("few")) == (["presence"], ["join"])


def test_a_connection_that_cannot_be_written_to_is_reported_and_sent_no_more() -> None:
    house = House()
    broken = house.watch("a", Broken())
    house.watch("a")
    house.come("a", "ana")
    list(house.watchers.flush(100))
    house.come("a", "bob")
    list(house.watchers.flush(100))
    assert house.failed == [(broken, "broken")]
    assert house.told("a") == ["join", "join"]


def test_a_connection_of_a_crowd_that_cannot_be_written_to_is_reported() -> None:
    house = House()
    broken = house.watch("a", Broken())
    house.watch("a")
    house.come("a", *(f"m{number}" for number in range(CROWD + 1)))
    list(house.watchers.flush(100))
    assert house.failed == [(broken, "broken")]
    assert house.told("a") == ["presence"]


def test_a_watcher_that_left_while_it_had_no_room_is_waited_for_no_more() -> None:
    house = House("a")
    left = house.subscribers["a"]
    house.wires["a"].full = True
    house.watch("a")
    house.come("a", "ana")
    list(house.watchers.flush(100))
    house.watchers.discard(left)
    house.watchers.drained(left)
    assert not house.watchers.due
