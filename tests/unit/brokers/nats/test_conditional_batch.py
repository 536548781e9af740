"""brokers/nats/conditional_batch.py: an event is stored only on top of the expected one."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from eventhub.brokers.memory_state import Ledger, MemoryState
from eventhub.brokers.nats import conditional_batch
from eventhub.brokers.nats.conditional_batch import ConditionalBatch
from eventhub.brokers.nats.message import offset_of
from eventhub.brokers.nats.states import Fold
from eventhub.errors import BrokerUnavailable, PreconditionFailed
from eventhub.events.channel_types import StateRetention
from eventhub.events.event import ABSENT, KEY, Event, NewEvent, Position, Receipt
from tests.harness.virtual_time import in_virtual_time
from tests.unit.brokers.nats.links import SUBJECTS

STAMP = 7


def at(sequence: int, stamp: int = STAMP) -> Position:
    return Position("e", offset_of(sequence, stamp))


class Session:
    """A session whose log of `log.a` has these keys, and which others use, too."""

    def __init__(self, *keys: str) -> None:
        self.subjects = SUBJECTS
        self.keys = self.states = self
        self.state = MemoryState(StateRetention(), 0, Ledger())
        self.end = at(0, 0)
        self.busy = 0
        """How often somebody else holds the turn."""
        self.turns: list[str] = []
        for key in keys:
            self.store(key)

    def store(self, key: str) -> None:
        before, self.end = self.end, at((self.end.offset >> 16) + 1)
        event = Event("log.a", "e", self.end.offset, before.offset, 0, b"1", {KEY: key})
        self.state.add(event)

    async def take_turn(self, turn: str) -> bool:
        self.busy -= 1
        self.turns += ["taken"] * (self.busy < 0)
        assert turn.startswith("p.key.")
        return self.busy < 0

    async def end_turn(self, turn: str) -> None:
        self.turns.append("ended")

    async def log(self, channel: str) -> None: ...

    async def fold(self, channel: str, log: object, now: int) -> Fold:
        assert (channel, now) == ("log.a", 1000)
        return Fold(self.state, self.end)


class Batch(ConditionalBatch):
    """Notes behind which sequences events are sent. `overtaken`: so many are refused."""

    def __init__(self, *events: NewEvent) -> None:
        super().__init__(events, lambda: 1000)
        self.sent: list[tuple[int, int | None]] = []
        self.overtaken = 0

    async def publish_one(
        self, session: Any, streams: Mapping[str, Any], index: int, after: int | None = None
    ) -> bool:
        self.sent.append((index, after))
        self.overtaken -= 1
        if self.overtaken >= 0:
            session.store("other")
            return False
        self.results[index] = Receipt(at(99), 0)
        return True

    async def run(self, session: Session) -> list[Any]:
        await self.publish_all(session, {})  # type: ignore[arg-type]  # as much as is asked
        return list(self.results)


def event(key: str = "a", expected: Position | None = None) -> NewEvent:
    return NewEvent("log.a", b"1", 0, {KEY: key}, None, expected)


@in_virtual_time
async def test_events_are_stored_behind_what_was_seen_of_the_log() -> None:
    batch, session = Batch(event(), event(expected=at(1)), event("b", ABSENT)), Session("a", "c")
    results = await batch.run(session)
    assert batch.sent == [(0, None), (1, 2), (2, 2)]
    assert all(isinstance(result, Receipt) for result in results)
    assert session.turns == ["taken", "ended"] * 2
    empty = Batch(event("a", ABSENT))
    await empty.run(Session())
    assert empty.sent == [(0, 0)]


@in_virtual_time
async def test_an_event_that_expects_another_one_is_not_sent() -> None:
    batch, session = Batch(event("a", at(9)), event("a", ABSENT), event("b", at(1))), Session("a")
    results = await batch.run(session)
    assert [type(result) for result in results] == [PreconditionFailed] * 3
    assert [result.id for result in results] == [str(at(1)), str(at(1)), None]
    assert batch.sent == []
    assert session.turns == ["taken", "ended"] * 3


@in_virtual_time
async def test_who_was_overtaken_looks_again() -> None:
    batch, session = Batch(event("a", at(1))), Session("a")
    batch.overtaken = 2
    await batch.run(session)
    assert batch.sent == [(0, 1), (0, 2), (0, 3)]


@in_virtual_time
async def test_a_turn_is_waited_for_and_attempts_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conditional_batch, "ATTEMPTS", 3)
    for busy, sent in ((2, 1), (3, 0)):
        batch, session = Batch(event("a", at(1))), Session("a")
        session.busy = busy
        (result,) = await batch.run(session)
        assert (len(batch.sent), isinstance(result, BrokerUnavailable)) == (sent, not sent)
        assert session.turns == ["taken", "ended"] * sent
    batch, session = Batch(event("a", at(1))), Session("a")
    batch.overtaken = 3
    (result,) = await batch.run(session)
    assert isinstance(result, BrokerUnavailable)
    assert "many publishers" in result.message
    assert session.turns == ["taken", "ended"]


@in_virtual_time
async def test_an_event_that_was_stored_before_is_answered_as_then() -> None:
    batch, session = Batch(event("a", ABSENT)), Session("a")
    batch.claims[0] = SimpleNamespace(stamp=STAMP, time=5)  # type: ignore[assignment]
    assert await batch.run(session) == [Receipt(at(1), 5, replayed=True)]
    other = Batch(event("a", at(1)))
    other.claims[0] = SimpleNamespace(stamp=STAMP + 1, time=5)  # type: ignore[assignment]
    await other.run(session)
    assert other.sent == [(0, 1)], "the newest event is another one"


@in_virtual_time
async def test_an_event_with_a_result_is_left_alone_and_a_turn_ends_after_a_fault() -> None:
    batch, session = Batch(event("a", at(1)), event("a", at(1))), Session("a")
    batch.results[0] = refused = BrokerUnavailable("before")

    async def fault(*_: object) -> bool:
        raise ZeroDivisionError

    batch.publish_one = fault  # type: ignore[method-assign, assignment]
    with pytest.raises(ZeroDivisionError):
        await batch.run(session)
    assert batch.results[0] is refused
    assert session.turns == ["taken", "ended"]
