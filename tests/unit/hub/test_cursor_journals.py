"""hub/cursor_journals.py: every record is stored, in order, or given up; cursors are resolved."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import orjson
import pytest

from eventhub.brokers.memory import MemoryBroker
from eventhub.common.faults import Faults
from eventhub.delivery.pattern_cursor import (
    DEPTH,
    PatternCursor,
    RecordName,
    UnreadableJournal,
    parse_pattern_cursor,
)
from eventhub.errors import BrokerUnavailable, EventHubError, PayloadTooLarge
from eventhub.events.channel_types import Retention
from eventhub.events.event import Earliest, NewEvent, Receipt
from eventhub.hub.cursor_journals import CALL_RECORDS, QUEUE_BYTES, RETRY_SECONDS, CursorJournals
from eventhub.hub.hub import Hub
from eventhub.hub.tasks import Tasks
from tests.harness.virtual_time import in_virtual_time, turns

PATTERN = "logs.>"
NAME = "0123456789ab"
Outcome = Sequence[EventHubError | None] | Exception


class Broker(MemoryBroker):
    """Fails as a test says, call by call. None: the event is stored."""

    def __init__(self) -> None:
        super().__init__(lambda channel: Retention(100_000, None), Hub.now)
        self.outcomes: list[Outcome] = []
        self.calls: list[int] = []

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        await asyncio.sleep(0)
        self.calls.append(len(events))
        outcome = self.outcomes.pop(0) if self.outcomes else [None] * len(events)
        if isinstance(outcome, Exception):
            raise outcome
        results = []
        for event, error in zip(events, outcome, strict=True):
            results.append(error or (await super().publish([event]))[0])
        return results

    async def records(self, journal: str = NAME) -> list[bytes]:
        page = await self.history(f"_cursors.{journal}", Earliest(), 1000)
        return [event.data for event in page.events]


class Node:
    def __init__(self) -> None:
        self.broker = Broker()
        self.tasks = Tasks(Faults())
        self.journals = CursorJournals(self.broker, self.tasks)

    def add(self, *numbers: int) -> None:
        for number in numbers:
            self.journals.add(RecordName(NAME, number), b"%d" % number)


def in_node(test: Callable[[Node], Awaitable[None]]) -> Callable[[], None]:
    async def run() -> None:
        node = Node()
        async with asyncio.TaskGroup() as node.tasks.group:
            await test(node)

    run.__name__ = test.__name__
    return in_virtual_time(run)


@in_node
async def test_records_are_stored_in_order_and_those_who_wait_are_told(node: Node) -> None:
    told: list[int] = []
    node.add(1, 2)
    node.journals.when_stored(lambda: told.append(node.journals.stored))
    assert (node.journals.added, node.journals.stored) == (2, 0)
    await turns()
    assert (node.journals.added, node.journals.stored, told) == (2, 2, [2])
    node.add(3)
    await turns()
    assert await node.broker.records() == [b"1", b"2", b"3"]
    assert told == [2], "once"


@in_node
async def test_whoever_has_gone_is_not_told(node: Node) -> None:
    told: list[int] = []

    def wake() -> None:
        told.append(1)

    node.journals.when_stored(wake)
    node.journals.forget(wake)
    node.journals.forget(wake)
    node.add(1)
    await turns()
    assert (node.journals.stored, told) == (1, [])


@in_node
async def test_an_error_of_one_who_waits_keeps_no_other_waiting(node: Node) -> None:
    told: list[int] = []

    def fail() -> None:
        raise LookupError("of one stream")

    node.journals.when_stored(fail)
    node.journals.when_stored(lambda: told.append(node.journals.stored))
    node.add(1)
    await turns()
    assert (told, node.journals.lost) == ([1], 0)
    node.add(2)
    await turns()
    assert node.journals.stored == 2


@in_node
async def test_many_records_go_together_in_bounded_calls(node: Node) -> None:
    node.add(*range(1, 2 * CALL_RECORDS + 51))
    await turns(1000)
    assert node.broker.calls == [CALL_RECORDS, CALL_RECORDS, 50]


@in_node
async def test_what_was_not_stored_is_stored_once_when_the_broker_is_back(node: Node) -> None:
    away = BrokerUnavailable("away")
    node.broker.outcomes = [BrokerUnavailable("away"), [None, away, None]]
    node.add(1, 2, 3)
    await turns()
    assert node.journals.stored == 0
    await asyncio.sleep(10)
    assert node.journals.stored == 3
    assert sorted(await node.broker.records()) == [b"1", b"2", b"3"]
    found = {name: values async for name, _, values, _ in node.journals.readings()}
    assert found["eventhub_cursor_records_total"] == {("stored",): 3, ("lost",): 0}
    assert found["eventhub_cursor_records_waiting"] == {(): 0}


@in_node
async def test_a_record_that_cannot_be_stored_holds_nobody_up(node: Node) -> None:
    node.broker.outcomes = [[None, PayloadTooLarge("too large"), None]]
    node.add(1, 2, 3)
    await turns()
    assert (node.journals.stored, node.journals.lost) == (3, 1)
    node.broker.outcomes = [ZeroDivisionError("a fault of ours")]
    node.add(4, 5)
    await turns()
    assert (node.journals.added, node.journals.stored, node.journals.lost) == (5, 5, 3)
    node.add(6)
    await turns()
    assert (node.journals.stored, node.journals.lost) == (6, 3)


@in_node
async def test_records_beyond_the_bound_are_given_up_in_their_turn(node: Node) -> None:
    node.broker.outcomes = [BrokerUnavailable("away")]
    large = bytes(QUEUE_BYTES // 4)
    for number in range(1, 8):
        node.journals.add(RecordName(NAME, number), large)
    node.journals.add(RecordName(NAME, 8), b"8" * (QUEUE_BYTES // 4))
    assert (node.journals.added, node.journals.stored, node.journals.lost) == (8, 0, 4)
    await node.journals.all_stored()
    assert (node.journals.stored, node.broker.calls) == (8, [4, 4])
    node.add(9)
    await node.journals.all_stored()
    assert (node.broker.calls, node.journals.lost) == ([4, 4, 1], 4)


@in_node
async def test_a_page_waits_for_its_record_a_bounded_time(node: Node) -> None:
    node.broker.outcomes = [BrokerUnavailable("away")] * 1000
    node.add(1)
    with pytest.raises(BrokerUnavailable, match="could not be stored in 5 seconds"):
        await node.journals.all_stored()
    node.broker.outcomes = []
    await node.journals.all_stored()
    assert node.journals.stored == 1


@in_node
async def test_a_cursor_is_resolved_through_its_journals(node: Node) -> None:
    cursor = PatternCursor(PATTERN, node.journals)
    expected = {}
    for depth in range(DEPTH):
        for number in range(100):
            channel, position = f"logs.{depth}.{number}", f"k-{number}"
            cursor.move(channel, position)
            expected[channel] = position
        said = parse_pattern_cursor(str(cursor), "since")
        cursor = PatternCursor(PATTERN, node.journals, said.base, said.moved)
    await turns(1000)
    found = await node.journals.resolve(str(cursor), "since", PATTERN)
    assert (found.base, found.positions, found.journals) == ("", expected, DEPTH)


@in_node
async def test_a_journal_of_many_pages_is_read_to_the_record_that_is_asked_for(node: Node) -> None:
    first = {"number": 1, "pattern": PATTERN, "base": "-20", "at": {}}
    node.journals.add(RecordName(NAME, 1), orjson.dumps(first))
    for number in range(2, 2501):
        record = {"number": number, "at": {"logs.a": f"k-{number}"}}
        node.journals.add(RecordName(NAME, number), orjson.dumps(record))
    await turns(10_000)
    for number in (2, 1000, 1001, 2500):
        found = await node.journals.resolve(f"*{NAME}.{number}", "since", PATTERN)
        assert (found.base, found.positions) == ("-20", {"logs.a": f"k-{number}"})


@pytest.mark.parametrize("text", [f"*{NAME}.1", f"*{NAME}.3", "*000000000000.1"])
def test_a_cursor_without_its_records_cannot_be_resolved(text: str) -> None:
    async def scenario(node: Node) -> None:
        node.journals.add(RecordName(NAME, 2), orjson.dumps({"number": 2, "at": {}}))
        await turns()
        with pytest.raises(UnreadableJournal, match=r"record [13] of its journal is not known"):
            await node.journals.resolve(text, "since", PATTERN)

    in_node(scenario)()


@in_node
async def test_a_journal_that_begins_with_itself_is_not_followed_for_ever(node: Node) -> None:
    record = {"number": 1, "pattern": PATTERN, "base": f"{NAME}.1", "at": {}}
    node.journals.add(RecordName(NAME, 1), orjson.dumps(record))
    await turns()
    with pytest.raises(UnreadableJournal, match="too often"):
        await node.journals.resolve(f"*{NAME}.1", "since", PATTERN)


@in_node
async def test_journals_have_names_of_their_own(node: Node) -> None:
    names = {node.journals.new() for _ in range(100)}
    assert len(names) == 100
    assert all(RecordName.parse(f"{name}.1") for name in names)


@in_node
async def test_a_page_that_has_its_record_leaves_nothing_behind(node: Node) -> None:
    node.broker.outcomes = [BrokerUnavailable("away")] * 1000
    node.add(1)
    with pytest.raises(BrokerUnavailable):
        await node.journals.all_stored()
    assert not node.journals._waiting
    node.broker.outcomes = []
    await node.journals.all_stored()


@in_node
async def test_a_page_waits_for_every_record_before_it_and_for_none_behind(node: Node) -> None:
    node.add(*range(1, 2 * CALL_RECORDS + 2))
    waiting = asyncio.create_task(node.journals.all_stored())
    await asyncio.sleep(0)
    stored = node.journals.stored
    node.add(2 * CALL_RECORDS + 2)
    away: list[Outcome] = [BrokerUnavailable("away")] * 1000
    node.broker.outcomes = [[None] * CALL_RECORDS, [None] * CALL_RECORDS, *away]
    await turns(1000)
    assert (stored, node.journals.stored) == (0, 2 * CALL_RECORDS)
    assert not waiting.done()
    node.broker.outcomes = []
    await waiting
    assert node.journals.stored == 2 * CALL_RECORDS + 2


@in_node
async def test_what_a_later_journal_says_of_a_channel_holds(node: Node) -> None:
    earlier, later = NAME, "ba9876543210"
    for journal, base, position in ((earlier, "-20", "k-1"), (later, f"{earlier}.1", "k-2")):
        record = {"number": 1, "pattern": PATTERN, "base": base, "at": {"logs.a": position}}
        node.journals.add(RecordName(journal, 1), orjson.dumps(record))
    await turns()
    found = await node.journals.resolve(f"*{later}.1", "since", PATTERN)
    assert (found.base, found.positions, found.journals) == ("-20", {"logs.a": "k-2"}, 2)
    found = await node.journals.resolve(f"*{later}.1,logs.a@k-3", "since", PATTERN)
    assert found.positions == {"logs.a": "k-3"}


@in_node
async def test_records_that_were_given_up_are_not_among_those_stored(node: Node) -> None:
    node.broker.outcomes = [[None, PayloadTooLarge("too large"), None]]
    node.add(1, 2, 3)
    await turns()
    found = {name: values async for name, _, values, _ in node.journals.readings()}
    assert found["eventhub_cursor_records_total"] == {("stored",): 2, ("lost",): 1}


@in_node
async def test_a_broker_that_stores_a_part_is_asked_again_after_a_pause(node: Node) -> None:
    node.broker.outcomes = [[BrokerUnavailable("away")]] * 3
    node.add(1)
    await turns(100)
    assert node.broker.calls == [1]
    await asyncio.sleep(RETRY_SECONDS)
    await turns(100)
    assert node.broker.calls == [1, 1]
