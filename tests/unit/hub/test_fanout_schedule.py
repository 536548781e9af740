"""Feeds with something to write take turns with each other and with the rest of the loop."""

import asyncio
from collections.abc import Callable

import pytest

from eventhub.delivery import fanout as fanout_module
from eventhub.delivery.feed import Feed
from eventhub.events.event import Event
from eventhub.hub import fanout_schedule, join_wait
from eventhub.hub.fanout_schedule import ENOUGH_EVENTS, SMALL_AUDIENCE, FanoutSchedule
from tests.harness.eventually import turns_until
from tests.harness.virtual_time import in_virtual_time, turns
from tests.harness.wire import Wire
from tests.unit.delivery.feed_node import Node


class Scheduled:
    """A schedule, and what it reports."""

    def __init__(self) -> None:
        self.now = 100.0
        self.written: list[tuple[Feed, list[int], float]] = []
        self.progress: list[Feed] = []
        self.failed: list[tuple[str, str]] = []
        self.broken: Feed | None = None
        self.schedule = FanoutSchedule(
            self._wrote, self.progress.append, self._failed, clock=lambda: self.now
        )

    def add(self, node: Node) -> None:
        self.schedule.add(node.feed)

    def _wrote(self, feed: Feed, events: list[Event], seconds: float) -> None:
        if feed is self.broken:
            raise ZeroDivisionError("a fault of ours")
        self.written.append((feed, [event.offset for event in events], seconds))

    def _failed(self, channel: str, error: Exception) -> None:
        self.failed.append((channel, str(error)))


def audience(count: int, on_write: Callable[[], None] = lambda: None) -> Node:
    """A feed with live readers, whose writers call `on_write`."""

    class Counted(Wire):
        def write(self, data: bytes) -> None:
            on_write()
            super().write(data)

    node = Node()
    for _ in range(count):
        node.join(wire=Counted())
    return node


@in_virtual_time
async def test_events_that_arrive_within_a_tick_are_one_write_in_the_next() -> None:
    scheduled, writes = Scheduled(), list[int]()
    node = audience(SMALL_AUDIENCE, lambda: writes.append(1))
    writes.clear()
    node.publish()
    scheduled.add(node)
    node.publish(2)
    scheduled.add(node)
    assert writes == []
    await asyncio.sleep(0)
    assert len(writes) == SMALL_AUDIENCE
    assert scheduled.written == [(node.feed, [1, 2, 3], 0.0)]


@in_virtual_time
async def test_events_for_a_large_audience_are_one_write_two_ticks_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_schedule, "SMALL_AUDIENCE", 0)
    scheduled, writes = Scheduled(), list[int]()
    node = audience(1, lambda: writes.append(1))
    writes.clear()
    node.publish()
    scheduled.add(node)
    await asyncio.sleep(0)
    node.publish(2)
    scheduled.add(node)
    assert writes == []
    await asyncio.sleep(0)
    assert writes == [1]
    assert scheduled.written == [(node.feed, [1, 2, 3], 0.0)]


class Busy(Scheduled):
    """A schedule whose flushes take eight seconds of its clock, and a node that is published to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        monkeypatch.setattr(fanout_schedule, "SMALL_AUDIENCE", 0)
        monkeypatch.setattr(join_wait, "MOST_SECONDS", 2.0)
        self.node = audience(1, self._passes)

    def publish(self, count: int = 1) -> None:
        self.node.publish(count)
        self.add(self.node)

    @property
    def writes(self) -> list[list[int]]:
        return [offsets for _, offsets, _ in self.written]

    async def flush(self) -> None:
        """Write an event. Publishers are ready with the next one when that is done."""
        self.publish()
        await turns()

    def _passes(self) -> None:
        self.now += 8.0


@in_virtual_time
async def test_while_publishers_are_as_fast_as_the_fan_out_events_share_a_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = Busy(monkeypatch)
    await busy.flush()
    for _ in range(4):
        busy.publish()
        await turns()
        busy.now += 0.5
    assert busy.writes == [[1]]
    await turns()
    assert busy.writes == [[1], [2, 3, 4, 5]]
    await busy.flush()
    assert len(busy.writes) == 2, "the next one waits, too"


@in_virtual_time
async def test_an_event_that_comes_later_is_written_without_a_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = Busy(monkeypatch)
    await busy.flush()
    busy.now += 2.5
    busy.publish()
    await turns()
    assert busy.writes == [[1], [2]]


@in_virtual_time
async def test_many_events_that_came_during_a_flush_do_not_wait_for_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = Busy(monkeypatch)
    await busy.flush()
    busy.publish(ENOUGH_EVENTS)
    await turns()
    assert busy.writes == [[1], [*range(2, 2 + ENOUGH_EVENTS)]]


@in_virtual_time
async def test_a_publisher_that_waits_for_its_subscribers_is_soon_served_without_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    busy = Busy(monkeypatch)
    await busy.flush()
    busy.publish()
    await turns()
    assert busy.writes == [[1]]
    busy.now += 2.0
    await turns()
    assert busy.writes == [[1], [2]]
    for number in (3, 4):
        await busy.flush()
        assert busy.writes[-1] == [number]


@in_virtual_time
async def test_what_was_written_is_reported_once_with_the_time_since_it_was_due() -> None:
    scheduled = Scheduled()
    node = audience(2)
    node.publish(2)
    scheduled.add(node)
    scheduled.now += 1.5
    scheduled.add(node)
    scheduled.now += 0.25
    await turns()
    assert scheduled.written == [(node.feed, [1, 2], 1.75)]
    assert node.feed.live.written == []
    node.publish()
    scheduled.add(node)
    scheduled.now += 2.0
    await turns()
    assert scheduled.written[1:] == [(node.feed, [3], 2.0)]


@in_virtual_time
async def test_channels_take_turns_and_a_tick_has_a_bounded_number_of_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_schedule, "TICK_WRITES", 4)
    monkeypatch.setattr(fanout_schedule, "SLICE_WRITES", 3)
    writes: list[str] = []
    scheduled = Scheduled()
    nodes = [audience(5, lambda name=name: writes.append(name)) for name in "ab"]  # type: ignore[misc]  # mypy: lambdas with defaults
    writes.clear()
    for node in nodes:
        node.publish()
        scheduled.add(node)
    ticks: list[str] = []
    async for _ in turns_until(lambda: len("".join(ticks)) == 10):
        ticks.append("".join(writes))
        writes.clear()
    assert ticks == ["aaab", "aabb", "bb"]


@in_virtual_time
async def test_the_time_of_a_write_in_several_ticks_counts_from_its_beginning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_schedule, "TICK_WRITES", 2)
    scheduled = Scheduled()
    node = audience(4)
    node.publish()
    scheduled.add(node)
    for _ in range(2):
        await asyncio.sleep(0)
        scheduled.now += 1
    assert scheduled.written == [(node.feed, [1], 1.0)]
    assert scheduled.progress == [node.feed, node.feed]


@in_virtual_time
async def test_an_error_of_one_channel_keeps_no_other_from_being_written() -> None:
    scheduled = Scheduled()
    broken, node = audience(1), audience(1)
    scheduled.broken = broken.feed
    for each in (broken, node):
        each.publish()
        scheduled.add(each)
    await turns()
    assert scheduled.failed == [("chat.lobby", "a fault of ours")]
    assert scheduled.written == [(node.feed, [1], 0.0)]
    assert scheduled.progress == [node.feed]


@in_virtual_time
async def test_a_feed_that_was_behind_goes_on_once_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 1)
    scheduled = Scheduled()
    node = audience(1)
    node.publish(3)
    assert node.feed.behind
    scheduled.add(node)
    await turns()
    for _ in range(2):
        scheduled.add(node)
        await turns()
    assert [offsets for _, offsets, _ in scheduled.written] == [[1], [2], [3]]
    assert not node.feed.behind


@in_virtual_time
async def test_when_everything_is_written_the_loop_is_left_alone() -> None:
    scheduled = Scheduled()
    node = audience(1)
    for number in (1, 2):
        node.publish()
        scheduled.add(node)
        await turns()
        assert len(scheduled.progress) == number
