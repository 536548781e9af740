"""A hub with large audiences: turns of the loop, and publishers that wait."""

import asyncio
from collections.abc import Sequence

import orjson
import pytest

from eventhub.delivery import fanout as fanout_module
from eventhub.delivery import recent as recent_module
from eventhub.delivery.fanout import Fanout
from eventhub.events.event import Event, NewEvent
from eventhub.hub import fanout_schedule as schedule_module
from eventhub.hub import feed_registry as registry_module
from eventhub.hub import repairs as repairs_module
from eventhub.observability.metrics import Metrics
from tests.unit.hub.hub_node import Node, Owned, run, until


def test_large_audiences_share_the_turns_of_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule_module, "TICK_WRITES", 4)
    monkeypatch.setattr(schedule_module, "SLICE_WRITES", 2)

    async def scenario(node: Node) -> None:
        large = [node.subscribe("drop.large") for _ in range(50)]
        small = node.subscribe("drop.small")
        await until(lambda: all(wire.told("subscribed") for wire in [*large, small]))
        await node.publish("drop.large", "1")
        await node.publish("drop.small", "1")
        await until(lambda: small.told("event") == 1)
        assert sum(wire.told("event") for wire in large) < 50, (
            "the small channel did not wait for all of the large one"
        )
        await until(lambda: sum(wire.told("event") for wire in large) == 50)

    run(scenario)


class Counted(Owned):
    """Counts the writes to all that have the same `turns`, in each turn of the loop."""

    def __init__(self, node: Node, turns: list[int]) -> None:
        super().__init__(node)
        self.turns = turns

    def write(self, data: bytes) -> None:
        self.turns[-1] += 1
        super().write(data)


async def count_turns(turns: list[int]) -> None:
    while True:
        await asyncio.sleep(0)
        turns.append(0)


@pytest.mark.parametrize("events", ["in one batch", "one by one"])
def test_a_turn_of_the_loop_has_a_bounded_number_of_writes(
    monkeypatch: pytest.MonkeyPatch, events: str
) -> None:
    for name, bound in {"TICK_WRITES": 4, "SLICE_WRITES": 2}.items():
        monkeypatch.setattr(schedule_module, name, bound)
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 12)
    monkeypatch.setattr(recent_module, "RECENT_EVENTS", 3)

    async def scenario(node: Node) -> None:
        turns = [0]
        wires = [
            node.subscribe(channel, wire=Counted(node, turns))
            for channel in ("drop.a", "drop.b")
            for _ in range(20)
        ]
        await until(lambda: all(wire.told("subscribed") for wire in wires))
        turns[:] = [0]
        counting = asyncio.create_task(count_turns(turns))
        texts = [str(number) for number in range(10)]
        for channel in ("drop.a", "drop.b"):
            if events == "in one batch":
                await node.publish(
                    channel, *texts
                )  # more than the queue and the tail take: the rest comes from history
            else:
                for text in texts * 3:  # more than history keeps, too: publishers wait
                    await node.publish(channel, text)
        expected = texts if events == "in one batch" else texts * 3
        await until(lambda: all(len(wire.lines) > len(expected) for wire in wires))
        counting.cancel()
        for wire in wires:
            assert [orjson.loads(line)["data"] for line in wire.lines[1:]] == expected
        assert max(turns) == schedule_module.TICK_WRITES
        assert not node.hub.backpressure

    run(scenario)


def test_publishers_go_on_when_writing_failed_while_they_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 0)
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)
    advance = Fanout.advance
    faults = iter([True])

    def fail_once(fanout: Fanout, limit: int) -> int:
        done = advance(fanout, limit)
        if done and next(faults, False):
            raise ZeroDivisionError
        return done

    async def scenario(node: Node) -> None:
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)
        monkeypatch.setattr(Fanout, "advance", fail_once)
        await node.publish("drop.a", "1")
        node.hub.feeds.gap("drop.a")
        assert node.hub.backpressure.channels == ["drop.a"]
        await node.publish("drop.a", "2")
        await until(lambda: wire.told("event") == 2)

    run(scenario)


@pytest.mark.parametrize("end", ["leave", "give up"])
def test_publishers_do_not_wait_for_a_channel_without_readers(
    monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 0)

    async def scenario(node: Node) -> None:
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)
        await node.publish("drop.a", "1", "2")
        assert node.hub.backpressure.channels == ["drop.a"]
        waiting = asyncio.create_task(node.publish("drop.a", "3"))
        if end == "leave":
            node.hub.unsubscribe(wire.subscribers[0])
        else:
            node.hub.feeds.give_up("drop.a")
        assert not node.hub.backpressure
        await waiting

    run(scenario)


def test_what_reached_everybody_is_measured_by_type_with_the_age_of_each_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flushed: list[tuple[str, list[tuple[float, int]]]] = []
    monkeypatch.setattr(registry_module, "unix_milliseconds", lambda: 5000)
    monkeypatch.setattr(
        Metrics,
        "flushed",
        lambda _, kind, latencies, seconds: flushed.append((kind, list(latencies))),
    )

    async def scenario(node: Node) -> None:
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)
        await node.hub.publish(
            [NewEvent("drop.a", b"1", time) for time in (4000, 4999, 4000, 6000)]
        )
        await until(lambda: wire.told("event") == 4)
        assert flushed == [("drop", [(1.0, 2), (0.001, 1), (0, 1)])]

    run(scenario)


class Spans:
    """Tracing that notes what was written to live subscribers."""

    def __init__(self) -> None:
        self.noted: list[tuple[str, int, int]] = []

    def publish(self, channel: str, attributes: object, transport: str) -> None:
        return None

    def fanned_out(
        self, channel: str, events: Sequence[Event], seconds: float, subscribers: int
    ) -> None:
        self.noted.append((channel, len(events), subscribers))


def test_what_reached_everybody_is_traced() -> None:
    spans = Spans()

    async def scenario(node: Node) -> None:
        wires = [node.subscribe("drop.a") for _ in range(3)]
        await until(lambda: all(wire.told("subscribed") for wire in wires))
        await node.publish("drop.a", "1", "2")
        await until(lambda: bool(spans.noted))

    run(scenario, spans)
    assert spans.noted == [("drop.a", 2, 3)]
