"""States and feeds together: who reads the state and then goes on has the newest of every key.

Publishes, deletions, retention, lost announcements and lost logs come in any order between pages.
Each rule is shown to be necessary: without it, some run ends with a wrong state.
"""

import random
from collections.abc import Callable
from dataclasses import replace

import orjson
import pytest

from eventhub.brokers.memory_log import MemoryLog, read_page
from eventhub.brokers.memory_state import Ledger
from eventhub.delivery import catching_up
from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.events.channel_types import Retention, StateRetention
from eventhub.events.event import (
    DELETED,
    KEY,
    Event,
    HistoryPage,
    Position,
    Start,
    State,
)
from eventhub.events.keys import is_deletion
from tests.harness.builders import FeedDesk, channel_type
from tests.harness.wire import Wire

CHANNEL = "orders.eu"
KEYS = "abcdefg"
RETENTION = Retention(3, None, StateRetention(latest=True, keys=100))
STEPS, RUNS = 60, 150
Alter = Callable[[Start, HistoryPage, MemoryLog], HistoryPage]


def unaltered(since: Start, page: HistoryPage, log: MemoryLog) -> HistoryPage:
    return page


def without_deletions(since: Start, page: HistoryPage, log: MemoryLog) -> HistoryPage:
    if page.following is None:
        return page
    return replace(page, events=[event for event in page.events if not is_deletion(event)])


def without_restart(since: Start, page: HistoryPage, log: MemoryLog) -> HistoryPage:
    """A reader of a lost log goes on in the new one where it stood."""
    if not isinstance(since, State) or page.lost is None or since.position is None:
        return page
    events = [event for event in page.events if event.offset > since.position.offset]
    return replace(page, events=events, lost=None)


def without_the_end(since: Start, page: HistoryPage, log: MemoryLog) -> HistoryPage:
    """The last page of a state lacks its last event, and says that nothing follows."""
    if page.following is None or not page.events or page.reached != page.end:
        return page
    skipped = Position(page.end.epoch, page.end.offset)
    return replace(page, events=page.events[:-1], following=State(skipped, page.following.begun))


class Client:
    """A reader of the state: it follows PROTOCOL.md, and comes back when it is told to."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.held: dict[str, str] = {}
        self.position: Position | None = None
        self.begin(State())

    def begin(self, since: State) -> None:
        self.wire = Wire()
        self.subscriber = Subscriber(CHANNEL, since, self.wire, self._started)
        self.world.feed.join(self.subscriber)

    def come_back(self) -> None:
        """The connection breaks; the client resumes where it stands."""
        self.read()
        self.world.feed.leave(self.subscriber)
        self.begin(State(self.position))

    def read(self) -> None:
        """Take what was written."""
        self.world.desk.flush()
        lines = b"".join(self.wire.data).splitlines()
        self.wire.data.clear()
        for line in lines:
            self._take(orjson.loads(line))

    def _take(self, message: dict[str, str]) -> None:
        if message["type"] == "event":
            self.position = position_of(message["id"])
            if (gone := message.get("deleted")) is not None:
                self.held.pop(gone, None)
            else:
                self.held[message["key"]] = message["id"]
        elif message["type"] == "gap":
            self.held.clear()
            self.position = position_of(message["position"])
            if self.position.offset:
                self.world.again.append(self)

    def _started(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        if self.position is None:
            self.position = start.position


class World:
    """A channel: its log, its feed, and the clients."""

    def __init__(self, seed: int, alter: Alter) -> None:
        self.random = random.Random(seed)
        self.alter = alter
        self.desk = FeedDesk()
        self.feed = Feed(CHANNEL, channel_type(), DeliveryCounters(), self.desk)
        self.model: dict[str, str] = {}
        self.clients: list[Client] = []
        self.again: list[Client] = []
        self.resets = 0
        self.reset()
        self.feed.opened(self.end)

    @property
    def end(self) -> Position:
        return Position(self.epoch, self.log.tip)

    def reset(self) -> None:
        """The log is lost."""
        self.epoch = f"e{self.resets}"
        self.resets += 1
        self.log = MemoryLog(RETENTION, 0, Ledger())
        self.model.clear()

    def step(self) -> None:
        draw = self.random.random()
        if draw < 0.55:
            self.publish(deleted=self.random.random() < 0.25)
        elif draw < 0.62:
            self.clients.append(Client(self))
        elif draw < 0.66 and self.clients:
            self.random.choice(self.clients).come_back()
        elif draw < 0.68:
            self.reset()
            self.feed.gap()
        elif draw < 0.72:
            self.feed.gap()
        elif self.desk.reads:
            self.answer(self.random.choice((1, 2, 3, 50)))

    def publish(self, *, deleted: bool) -> None:
        key = self.random.choice(KEYS)
        attributes = {DELETED if deleted else KEY: key}
        log = self.log
        event = Event(CHANNEL, self.epoch, log.tip + 1, log.tip, 0, b"null", attributes)
        log.append(event)
        if deleted:
            self.model.pop(key, None)
        else:
            self.model[key] = str(event.position)
        if self.random.random() < 0.8:  # otherwise the announcement is lost
            self.feed.deliver(event)

    def answer(self, limit: int) -> None:
        read = self.desk.reads.pop(self.random.randrange(len(self.desk.reads)))
        since = read.since
        if isinstance(since, State):
            page = self.log.state_page(since, self.end, limit)
        else:
            page = read_page(self.log, self.end, since, limit, 0)
        read.piece = self.alter(since, page, self.log)
        read.answer()

    def settle(self) -> None:
        """Everything that is under way arrives, and clients come back that have to."""
        self.feed.gap()
        for _ in range(1000):
            for client in self.clients:
                client.read()
            while self.again:
                client = self.again.pop()
                self.feed.leave(client.subscriber)
                client.held.clear()
                client.begin(State())
            if not self.desk.reads:
                return
            self.answer(5)
        raise AssertionError("the feed reads without end")


def position_of(text: str) -> Position:
    epoch, _, offset = text.rpartition("-")
    return Position(epoch, int(offset))


def faults(alter: Alter = unaltered) -> int:
    """Runs after which a client has a wrong state, or a reader was told of a loss without one."""
    found = 0
    for seed in range(RUNS):
        world = World(seed, alter)
        for _ in range(STEPS):
            world.step()
        try:
            world.settle()
        except AssertionError:
            found += 1
            continue
        right = all(client.held == world.model for client in world.clients)
        told = any(subscriber is not None for _, subscriber, _ in world.desk.gaps)
        found += not right or (world.resets == 1 and told)
    return found


def test_who_reads_the_state_and_goes_on_has_the_newest_of_every_key() -> None:
    assert faults() == 0


@pytest.mark.parametrize("alter", [without_deletions, without_restart, without_the_end])
def test_each_rule_of_pages_is_necessary(alter: Alter) -> None:
    assert faults(alter) > 0


def test_pages_after_the_first_must_be_of_the_state_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def of_the_log(subscriber: Subscriber, since: Start) -> Start:
        return subscriber.position or since

    monkeypatch.setattr(catching_up, "_next_page", of_the_log)
    assert faults() > 0
