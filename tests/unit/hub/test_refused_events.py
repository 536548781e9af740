"""hub/refused_events.py: which refused events are kept, how many, and what is shown of them."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import pytest

from eventhub.brokers.memory import MemoryBroker
from eventhub.common.faults import Faults, internal
from eventhub.errors import (
    TABLE,
    BrokerUnavailable,
    EventHubError,
    InvalidEvent,
    NotFound,
    PayloadTooLarge,
)
from eventhub.events.channel_types import ChannelTypes, Retention
from eventhub.events.event import NewEvent, Receipt
from eventhub.events.refused_event import Received, RefusedEvent, RefusedRetention
from eventhub.hub import refused_events as module
from eventhub.hub.refused_events import RefusedEvents
from tests.harness.builders import channel_type

NOW = 1_800_000_000_000
ERROR = InvalidEvent("it does not fit", [{"pointer": "/value", "message": "expected a number"}])


class Broker(MemoryBroker):
    """A memory broker that may be away, and notes its calls."""

    def __init__(self, node: "Node") -> None:
        super().__init__(lambda channel: node.retention, lambda: node.now)
        self.away = False
        self.calls: list[int] = []

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        self.calls.append(len(events))
        if self.away:
            raise BrokerUnavailable("away")
        return await super().publish(events)


class Node:
    """The refused events of a node, whose tasks run when `settle` is awaited."""

    def __init__(self, events: int = 3, age: int = 60_000, size: int = 100) -> None:
        self.now = NOW
        kept = RefusedRetention(events, age, size)
        self.retention = Retention(kept.records, age)
        self.types = ChannelTypes(
            {name: replace(channel_type(), name=name, refused=kept) for name in ("a", "b")}
        )
        self.tasks: list[Coroutine[Any, Any, None]] = []
        self.failed: list[Callable[[EventHubError], None]] = []
        self.broker = Broker(self)
        self.faults = Faults()
        self.refused = RefusedEvents(
            self.types, self.broker, self.spawn, self.faults, lambda: self.now
        )

    def spawn(
        self,
        work: Coroutine[Any, Any, None],
        where: str,
        failed: Callable[[EventHubError], None],
    ) -> None:
        self.tasks.append(work)
        self.failed.append(failed)

    def add(self, body: bytes = b"1", channel: str = "a.x", error: EventHubError = ERROR) -> None:
        self.refused.add(error, Received(channel, body, "ana", "http"))

    async def settle(self) -> None:
        while self.tasks:
            await self.tasks.pop()

    async def bodies(self, name: str = "a") -> list[bytes]:
        """Of all that are shown, the oldest first."""
        kind = self.types.named(name)
        heads = await self.refused.heads(kind)
        assert [head.payload for head in heads] == [b""] * len(heads), "a list has no payloads"
        return [(await self.refused.entry(kind, head.id)).payload for head in heads]

    async def metrics(self) -> dict[str, dict[Any, float]]:
        return {
            name: {labels: value for labels, value in values.items() if value}
            async for name, _, values, _ in self.refused.readings()
        }


def run(scenario: Callable[[Node], Awaitable[None]], **options: int) -> None:
    node = Node(**options)
    asyncio.run(scenario(node))  # type: ignore[arg-type]  # a coroutine
    assert not node.faults.counts


def test_an_entry_says_what_was_received_from_whom_and_why_it_was_refused() -> None:
    async def scenario(node: Node) -> None:
        attributes = {"source": "s", "time": "never", "by": "eve", "subject": ""}
        received = Received("a.x", b"{}", "ana", "websocket", "k1", attributes, {"refers": "e-1"})
        node.refused.add(ERROR, received)
        assert node.broker.calls == [], "it is stored after the request was answered"
        await node.settle()
        (head,) = await node.refused.heads(node.types.named("a"))
        entry = await node.refused.entry(node.types.named("a"), head.id)
        assert entry == RefusedEvent(
            head.id,
            NOW,
            "a.x",
            ERROR.as_dict(),
            "ana",
            "websocket",
            "k1",
            {"source": "s"},
            {"refers": "e-1"},
            b"{}",
            2,
            cut=False,
        )

    run(scenario)


def test_the_newest_are_shown_as_many_as_the_setting_says_and_no_older_ones() -> None:
    async def scenario(node: Node) -> None:
        for number in range(5):
            node.add(b"%d" % number)
        await node.settle()
        assert await node.bodies() == [b"2", b"3", b"4"]
        node.now += 60_001
        assert await node.bodies() == []

    run(scenario)


def test_what_was_removed_is_gone_and_brings_no_older_one_back() -> None:
    async def scenario(node: Node) -> None:
        for number in range(4):
            node.add(b"%d" % number)
        await node.settle()
        kind = node.types.named("a")
        _, second, _ = await node.refused.heads(kind)
        await node.refused.remove(kind, second)
        assert await node.bodies() == [b"1", b"3"]
        with pytest.raises(NotFound, match="published or discarded"):
            await node.refused.entry(kind, second.id)
        await node.refused.remove(kind, second)
        assert await node.bodies() == [b"1", b"3"]

    run(scenario)


def test_a_type_that_keeps_none_costs_its_broker_nothing() -> None:
    async def scenario(node: Node) -> None:
        node.add()
        assert not node.tasks
        assert await node.bodies() == []
        assert [values async for _, _, values, _ in node.refused.readings()] == [{}, {}]

    run(scenario, events=0)


def test_only_faults_of_the_event_itself_are_kept() -> None:
    kept = set()
    for code, kind in TABLE.items():
        node = Node()
        error = kind.__new__(kind)
        EventHubError.__init__(error, "why")
        node.add(error=error)
        if node.tasks:
            kept.add(code)
            asyncio.run(node.settle())
    assert kept == module.KEPT - {"payload_too_large"}, "of no limit"
    assert not {"unauthorized", "forbidden", "rate_limited", "broker_unavailable"} & kept


@pytest.mark.parametrize(
    ("limit", "count"), [("event_bytes", 1), ("body_bytes", 1), ("batch", 1), ("publish_rate", 0)]
)
def test_an_event_that_is_too_large_is_kept_and_too_many_for_a_rate_are_not(
    limit: str, count: int
) -> None:
    node = Node()
    node.add(error=PayloadTooLarge("too much").with_limit(limit))
    assert len(node.tasks) == count
    asyncio.run(node.settle())


def test_the_beginning_of_a_long_payload_is_kept_up_to_a_whole_character() -> None:
    async def scenario(node: Node) -> None:
        node.add("ção".encode() * 10)
        node.add(b"\xff" * 8)
        node.add(b"")
        node.refused.add(ERROR, Received("a.x", b"1", None, "http", cut=True))
        await node.settle()
        heads = await node.refused.heads(node.types.named("a"))
        assert [(head.size, head.cut) for head in heads] == [(50, True), (8, True), (1, True)]
        assert await node.bodies() == ["ção".encode(), b"\xff" * 6, b"1"]

    run(scenario, size=6)


def test_more_than_the_rate_of_a_type_are_counted_and_take_nothing_from_another_type() -> None:
    async def scenario(node: Node) -> None:
        for _ in range(module.BURST + 7):
            node.add()
        node.add(channel="b.x")
        await node.settle()
        found = await node.metrics()
        assert found["eventhub_refused_kept_total"] == {("a",): module.BURST, ("b",): 1}
        assert found["eventhub_refused_dropped_total"] == {("a", "rate"): 7}
        node.now += 1000
        for _ in range(module.RATE + 1):
            node.add()
        await node.settle()
        found = await node.metrics()
        assert found["eventhub_refused_kept_total"]["a",] == module.BURST + module.RATE
        assert max(node.broker.calls) <= module.CALL_EVENTS

    run(scenario)


def test_what_does_not_fit_the_queue_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(node: Node) -> None:
        monkeypatch.setattr(module, "QUEUE_BYTES", 10)
        for _ in range(3):
            node.add(b"12345")
        monkeypatch.setattr(module, "QUEUE_EVENTS", 2)
        node.add(b"")
        node.add(b"1")
        await node.settle()
        found = await node.metrics()
        assert found["eventhub_refused_dropped_total"] == {("a", "queue"): 2}
        node.add(b"12345")
        await node.settle()
        assert await node.bodies() == [b"12345"] * 3

    run(scenario)


def test_a_broker_that_is_away_loses_entries_which_are_counted_and_no_later_ones() -> None:
    async def scenario(node: Node) -> None:
        node.broker.away = True
        node.add(b"secret")
        await node.settle()
        node.broker.away = False
        node.add(b"later")
        await node.settle()
        assert await node.bodies() == [b"later"]
        assert (await node.metrics())["eventhub_refused_dropped_total"] == {("a", "broker"): 1}

    run(scenario)


def test_a_fault_of_the_task_that_stores_does_not_keep_the_next_entry_from_being_stored() -> None:
    async def scenario(node: Node) -> None:
        node.add(b"1")
        node.tasks.pop().close()
        node.failed.pop()(internal())
        node.add(b"2")
        await node.settle()
        assert await node.bodies() == [b"1", b"2"]

    run(scenario)


def test_ids_are_in_the_order_of_time() -> None:
    async def scenario(node: Node) -> None:
        for _ in range(3):
            node.add()
            node.now += 1
        node.add()
        node.add()
        await node.settle()
        ids = [head.id for head in await node.refused.heads(node.types.named("a"))]
        assert len(set(ids)) == 5
        assert ids == sorted(ids)

    run(scenario, events=9)


def test_unreadable_records_hide_no_others() -> None:
    async def scenario(node: Node) -> None:
        node.add(b"1")
        await node.settle()
        for data in (b"3", b'{"id":3}', b"not json"):
            await node.broker.publish([NewEvent("_refused-a", data, NOW)])
        node.add(b"2")
        await node.settle()
        assert await node.bodies() == [b"1", b"2"]

    run(scenario, events=9)
