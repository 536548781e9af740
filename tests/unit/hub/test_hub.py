"""hub.py: feeds come and go with their subscribers and follow the broker; publishing is counted."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import orjson
import pytest

from eventhub.brokers.memory import MemoryBroker
from eventhub.common.faults import internal
from eventhub.delivery import fanout as fanout_module
from eventhub.delivery import recent as recent_module
from eventhub.delivery.encoding import LINES
from eventhub.delivery.fanout import Fanout
from eventhub.delivery.feed import Feed
from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.errors import (
    BrokerUnavailable,
    EventHubError,
    ShuttingDown,
    SlowConsumer,
    UnknownChannel,
)
from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SlowReaderPolicy,
)
from eventhub.events.event import (
    Age,
    Earliest,
    HistoryPage,
    Last,
    Latest,
    NewEvent,
    Position,
    Receipt,
    Since,
)
from eventhub.events.schema import AnySchema
from eventhub.hub import announcements as announcements_module
from eventhub.hub import fanout_schedule as schedule_module
from eventhub.hub import history as reads_module
from eventhub.hub import repairs as repairs_module
from eventhub.hub.hub import READ_SLICE, Hub
from eventhub.observability.metrics import Metrics
from eventhub.presence.notifier import PresenceWatchers
from eventhub.presence.roster import Roster
from tests.harness.wire import Wire


class Owned(Wire):
    """A writer whose owner leaves as soon as it fails, as connections do."""

    def __init__(self, node: "Node") -> None:
        super().__init__()
        self.node = node
        self.subscribers: list[Subscriber] = []
        self.on_fail = self._leave

    def abort(self) -> None:
        self.fail(internal())

    def _leave(self) -> None:
        for subscriber in self.subscribers:
            self.node.hub.unsubscribe(subscriber)


class Flaky(MemoryBroker):
    """A memory broker that is away for its first calls."""

    away = 0
    trouble: str | None = None
    asked = subscribed = 0
    """Slices that were read, and calls of subscribe."""

    async def subscribe(self, channel: str) -> Position:
        self._try()
        self.subscribed += 1
        return await super().subscribe(channel)

    async def history(
        self, channel: str, since: Position | Earliest | Last | Age, limit: int
    ) -> HistoryPage:
        self._try()
        self.asked += 1
        await asyncio.sleep(0)  # as over a network
        return await super().history(channel, since, limit)

    def unready(self) -> str | None:
        return self.trouble

    def _try(self) -> None:
        if self.away:
            self.away -= 1
            raise BrokerUnavailable("away")


class Node:
    """A running hub on a memory broker."""

    def __init__(self) -> None:
        def kind(name: str, slow: SlowReaderPolicy) -> ChannelType:
            retention = Retention(10, None)
            return ChannelType(
                name,
                "json",
                AnySchema(),
                retention,
                presence=True,
                slow=slow,
                publish=frozenset(PublisherKind),
            )

        types = ChannelTypes({slow: kind(slow, slow) for slow in SlowReaderPolicy})
        self.broker = Flaky(lambda channel: types.resolve(channel).retention, Hub.now)
        self.metrics = Metrics(kind.name for kind in types)
        self.hub = Hub(types, self.broker, self.metrics)

    def subscribe(
        self, channel: str, since: Since | None = None, member: str = "", wire: Owned | None = None
    ) -> Owned:
        wire = wire or Owned(self)
        subscriber = Subscriber(channel, since or Latest(), wire, self._started, member)
        self.hub.subscribe(subscriber)
        wire.subscribers.append(subscriber)
        return wire

    async def publish(self, channel: str, *texts: str) -> Sequence[Receipt | EventHubError]:
        return await self.hub.publish(
            [NewEvent(channel, f'"{text}"'.encode(), Hub.now()) for text in texts]
        )

    def _started(self, subscriber: Subscriber, start: SubscriptionStart) -> None:
        subscriber.writer.write(LINES.message("subscribed", start.as_dict()))


def run(scenario: Callable[[Node], Awaitable[None]]) -> None:
    async def main() -> None:
        node = Node()
        task = asyncio.create_task(node.hub.run())
        await node.hub.started.wait()
        try:
            async with asyncio.timeout(10):
                await scenario(node)
            assert not task.done(), "the hub has ended"
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    asyncio.run(main())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # any condition, and nothing to wait on but turns of the loop
        await asyncio.sleep(0)  # a turn of the loop


def test_events_reach_subscribers_and_a_channel_without_any_is_let_go() -> None:
    async def scenario(node: Node) -> None:
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)
        await node.publish("drop.a", "1", "2")
        await until(lambda: wire.told("event") == 2)
        node.hub.unsubscribe(wire.subscribers[0])
        await until(lambda: node.hub.feeds.announcements.settled)
        assert list(node.hub.feeds) == []
        assert node.hub.feeds.announcements.channels == set()
        await node.publish("drop.a", "3")
        assert wire.told("event") == 2

    run(scenario)


def test_leaving_and_coming_back_at_once_misses_nothing() -> None:
    async def scenario(node: Node) -> None:
        for _ in range(5):
            wire = node.subscribe("drop.a")
            node.hub.unsubscribe(wire.subscribers[0])
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)
        await until(lambda: node.hub.feeds.announcements.settled)
        await node.publish("drop.a", "1")
        await until(lambda: wire.told("event") == 1)

    run(scenario)


def test_readers_that_a_policy_ends_together_all_leave_presence() -> None:
    async def scenario(node: Node) -> None:
        wires = [node.subscribe("disconnect.a", member=f"m{number}") for number in range(3)]
        await until(lambda: all(wire.told("subscribed") for wire in wires))
        for wire in wires:
            wire.full = True
            node.hub.congested(wire.subscribers[0])
        await node.publish("disconnect.a", "1")
        await until(lambda: all(wire.failed for wire in wires))
        assert [wire.failed for wire in wires] == [["slow_consumer"]] * 3
        assert node.hub.members("disconnect.a") == []
        node.hub.congested(wires[0].subscribers[0])
        node.hub.drained(wires[0].subscribers[0])

    run(scenario)


def test_join_and_leave_go_to_those_who_watch() -> None:
    async def scenario(node: Node) -> None:
        ana = node.subscribe("drop.a", member="ana")
        assert orjson.loads(orjson.dumps(node.hub.watch(ana.subscribers[0]))) == {
            "count": 1,
            "members": [{"id": "ana"}],
        }
        tabs = [node.subscribe("drop.a", member="bob") for _ in range(2)]
        node.subscribe("drop.a")  # only watches
        assert node.hub.members("drop.a") == ["ana", "bob"]
        await until(lambda: ana.told("join") == 1)
        node.hub.unsubscribe(tabs[0].subscribers[0])
        assert not node.hub.nodes._watchers.due, "bob is still there"
        node.hub.unsubscribe(tabs[1].subscribers[0])
        assert node.hub.members("drop.a") == ["ana"]
        await until(lambda: ana.told("leave") == 1)

    run(scenario)


def test_a_broker_that_is_away_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announcements_module, "RETRY_SECONDS", 0)

    async def scenario(node: Node) -> None:
        await node.publish("drop.a", "1")
        node.broker.away = 3
        wire = node.subscribe("drop.a", Earliest())
        await until(lambda: wire.told("event") == 1)

    run(scenario)


def test_what_cannot_be_subscribed_is_refused() -> None:
    async def scenario(node: Node) -> None:
        with pytest.raises(UnknownChannel):
            node.subscribe("nope.a")
        node.hub.closing = True
        with pytest.raises(ShuttingDown):
            node.subscribe("drop.a")
        with pytest.raises(ShuttingDown):
            await node.publish("drop.a", "1")

    run(scenario)


def test_while_it_drains_it_is_not_ready_and_serves_those_who_are_there() -> None:
    async def scenario(node: Node) -> None:
        node.hub.draining = True
        assert node.hub.unready() == {"server": "about to stop"}
        wire = node.subscribe("drop.a", Earliest())
        await node.publish("drop.a", "1")
        await until(lambda: wire.told("event") == 1)

    run(scenario)


def test_a_hub_that_does_not_run_is_not_ready() -> None:
    assert Node().hub.unready() == {"hub": "not started"}


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
def test_whatever_is_pushed_a_turn_of_the_loop_has_a_bounded_number_of_writes(
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
def test_publishers_do_not_wait_for_a_channel_that_nobody_reads_any_more(
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


def test_a_watcher_that_takes_nothing_stays_and_gets_the_list_when_it_has_room() -> None:
    async def scenario(node: Node) -> None:
        stuck, ana = (
            node.subscribe("drop.a", member="stuck"),
            node.subscribe("drop.a", member="ana"),
        )
        for wire in (stuck, ana):
            wire.subscribers[0].watching = True
            node.hub.watch(wire.subscribers[0])
        stuck.full = True
        node.subscribe("drop.a", member="bob")
        await until(lambda: ana.told("join") == 1)
        assert (stuck.told("join"), stuck.told("presence"), stuck.failed) == (0, 0, [])
        stuck.full = False
        node.hub.drained(stuck.subscribers[0])
        await until(lambda: stuck.told("presence") == 1)

    run(scenario)


def test_an_error_of_ours_in_telling_costs_no_other_channel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(node: Node) -> None:
        bad, good = node.subscribe("drop.a"), node.subscribe("drop.b")
        for wire in (bad, good):
            node.hub.watch(wire.subscribers[0])
        await until(lambda: bad.told("subscribed") == good.told("subscribed") == 1)
        monkeypatch.setattr(bad, "write", _fault)
        node.subscribe("drop.a", member="ana")
        node.subscribe("drop.b", member="ana")
        await until(lambda: good.told("join") == 1)

    run(scenario)


def test_who_leaves_before_it_is_ended_is_left_alone() -> None:
    async def scenario(node: Node) -> None:
        stuck = node.subscribe("disconnect.a")
        node.hub.feeds.fail(stuck.subscribers[0], SlowConsumer("too slow"))
        node.hub.unsubscribe(stuck.subscribers[0])
        await until(lambda: not node.hub.feeds._evictions._awake)
        assert stuck.failed == []

    run(scenario)


def test_an_error_of_ours_in_one_channel_costs_no_other_and_history_makes_up_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)

    async def scenario(node: Node) -> None:
        wires = [node.subscribe(channel) for channel in ("drop.a", "drop.b")]
        await until(lambda: all(wire.told("subscribed") for wire in wires))
        with monkeypatch.context() as broken:
            broken.setattr(Feed, "deliver", _fault)
            broken.setattr(Feed, "gap", _fault)
            await node.publish("drop.a", "lost")
            node.hub.feeds.gap("drop.a")
        await node.publish("drop.b", "1")
        await until(lambda: [wire.told("event") for wire in wires] == [1, 1])
        await until(lambda: not node.hub.feeds.repairs.pending)

    run(scenario)


def test_an_error_of_ours_over_a_page_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)
    faults = [ZeroDivisionError("a fault"), ZeroDivisionError("another")]
    page = Feed.page

    def faulty(
        feed: Feed,
        subscriber: Subscriber | None,
        since: Position,
        piece: HistoryPage,
        generation: int,
    ) -> None:
        page(feed, subscriber, since, piece, generation)
        if subscriber is None and faults:
            raise faults.pop()

    monkeypatch.setattr(Feed, "page", faulty)

    async def scenario(node: Node) -> None:
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)
        node.hub.feeds.gap("drop.a")
        await until(lambda: not faults and not node.hub.feeds.repairs.pending)
        await node.publish("drop.a", "1")
        await until(lambda: wire.told("event") == 1)

    run(scenario)


def test_an_error_of_ours_while_one_channel_is_written_keeps_no_other_from_its_events(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)

    async def scenario(node: Node) -> None:
        wires = [node.subscribe(channel) for channel in ("drop.a", "drop.b")]
        await until(lambda: all(wire.told("subscribed") for wire in wires))
        with monkeypatch.context() as broken:
            broken.setattr(
                node.hub.feeds._feeds["drop.a"],
                "live",
                FaultyOnce(node.hub.feeds._feeds["drop.a"].live),
            )
            await node.publish("drop.a", "1")
            await node.publish("drop.b", "1")
            await until(lambda: [wire.told("event") for wire in wires] == [1, 1])
        await node.publish("drop.a", "2")
        await until(lambda: wires[0].told("event") == 2)

    run(scenario)


def test_an_error_of_ours_while_a_delivery_is_measured_costs_nobody_an_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(repairs_module, "RETRY_SECONDS", 0)
    faults = [ZeroDivisionError("a fault of ours")]

    def flushed(self: Metrics, kind: str, latencies: object, seconds: float) -> None:
        if faults:
            raise faults.pop()

    monkeypatch.setattr(Metrics, "flushed", flushed)

    async def scenario(node: Node) -> None:
        wires = [node.subscribe(channel) for channel in ("drop.a", "drop.b")]
        await until(lambda: all(wire.told("subscribed") for wire in wires))
        for number, channel in (
            ("1", "drop.a"),
            ("1", "drop.b"),
            ("2", "drop.a"),
            ("2", "drop.b"),
        ):  # in one turn of the loop
            await node.publish(channel, number)
        await until(lambda: [wire.told("event") for wire in wires] == [2, 2])
        assert not faults

    run(scenario)


class FaultyOnce:
    """A fan-out whose first `advance` fails."""

    def __init__(self, live: Fanout) -> None:
        self._live = live
        self._faults = 1

    def advance(self, limit: int) -> int:
        if self._faults:
            self._faults = 0
            raise ZeroDivisionError("a fault of ours")
        return self._live.advance(limit)

    def __bool__(self) -> bool:
        return bool(self._live)

    def __getattr__(self, name: str) -> object:
        return getattr(self._live, name)


@pytest.mark.parametrize(
    "fault",
    [
        OverflowError("too large"),
        ValueError("of another version"),
        ZeroDivisionError("a fault of ours"),
    ],
)
def test_whatever_a_listener_raises_the_hub_goes_on(fault: Exception) -> None:
    def hear(_: bytes) -> None:
        raise fault

    async def scenario(node: Node) -> None:
        node.hub.nodes.listen(b"topic", hear)
        node.hub.nodes.on_message(b"topic other 1")

    run(scenario)


def test_whatever_reading_a_roster_raises_the_hub_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(node: Node) -> None:
        monkeypatch.setattr(Roster, "on_message", _fault)
        node.hub.nodes.on_message(
            b'{"node":"n2","number":1,"part":0,"last":true,"rooms":{"drop.a":["ana"]}}'
        )
        assert node.hub.members("drop.a") == []

    run(scenario)


def test_an_error_of_ours_over_members_elsewhere_costs_the_hub_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario(node: Node) -> None:
        monkeypatch.setattr(PresenceWatchers, "on_change", _fault)
        node.hub.nodes.on_message(
            b'{"node":"n2","number":1,"part":0,"last":true,"rooms":{"drop.a":["ana"]}}'
        )
        assert node.hub.members("drop.a") == ["ana"]

    run(scenario)


def _fault(*_: object) -> None:
    raise ZeroDivisionError("a fault of ours")


def test_a_hub_that_has_ended_says_so() -> None:
    async def main() -> Node:
        node = Node()
        task = asyncio.create_task(node.hub.run())
        await node.hub.started.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return node

    node = asyncio.run(main())
    assert node.hub.ended
    assert node.hub.unready() == {"hub": "ended"}


def test_one_more_reader_of_what_comes_next_costs_the_broker_nothing() -> None:
    async def scenario(node: Node) -> None:
        first = node.subscribe("drop.a")
        await until(lambda: first.told("subscribed") == 1)
        others = [node.subscribe("drop.a") for _ in range(100)]
        assert all(wire.told("subscribed") == 1 for wire in others), "at once"
        await node.publish("drop.a", "x")
        await until(lambda: all(wire.told("event") == 1 for wire in others))
        assert (node.broker.subscribed, node.broker.asked) == (1, 0)

    run(scenario)


def test_a_crowd_that_comes_back_asks_the_broker_once_for_each_page() -> None:
    async def scenario(node: Node) -> None:
        first, *_ = await node.publish("drop.a", *"abcde")
        assert isinstance(first, Receipt)
        crowd = [node.subscribe("drop.a", first.position) for _ in range(500)]
        await until(lambda: all(wire.told("event") == 4 for wire in crowd))
        assert node.broker.asked == 1
        later = [node.subscribe("drop.a", first.position) for _ in range(3)]
        await until(lambda: all(wire.told("event") == 4 for wire in later))
        assert node.broker.asked == 1, "what has just been read is not read again"
        await node.publish("drop.a", "f")
        await until(lambda: all(wire.told("event") == 5 for wire in crowd + later))

    run(scenario)


def test_a_slice_that_is_kept_never_hides_what_came_since(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(node: Node) -> None:
        first, *_ = await node.publish("drop.a", *"abc")
        assert isinstance(first, Receipt)
        early = node.subscribe("drop.a", first.position)
        await until(lambda: early.told("event") == 2)
        await node.publish("drop.a", *"de")
        late = node.subscribe("drop.a", first.position)
        await until(lambda: late.told("event") == 4)
        await node.publish("drop.a", "f")
        await until(lambda: late.told("event") == early.told("event") == 5)
        assert [line for line in late.lines if "event" in line] == [
            line for line in early.lines if "event" in line
        ]

    run(scenario)


def test_a_slice_is_kept_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads_module, "CACHE_SECONDS", 0)

    async def scenario(node: Node) -> None:
        first, *_ = await node.publish("drop.a", *"abc")
        assert isinstance(first, Receipt)
        for asked in (1, 2):
            wire = node.subscribe("drop.a", first.position)
            await until(lambda wire=wire: wire.told("event") == 2)  # type: ignore[misc]  # mypy: lambdas with defaults
            await until(lambda: not node.hub.feeds._history._cached)
            assert node.broker.asked == asked

    run(scenario)


def test_of_a_crowd_whoever_leaves_while_it_is_served_gets_nothing_more() -> None:
    async def scenario(node: Node) -> None:
        first, *_ = await node.publish("drop.a", *"abc")
        assert isinstance(first, Receipt)
        crowd = [node.subscribe("drop.a", first.position) for _ in range(200)]
        await until(lambda: crowd[0].told("event") == 2)
        assert crowd[-1].told("event") == 0, "they are served in turns"
        node.hub.unsubscribe(crowd[-1].subscribers[0])
        await until(lambda: all(wire.told("event") == 2 for wire in crowd[:-1]))
        assert crowd[-1].lines == []

    run(scenario)


@pytest.mark.parametrize(
    "message",
    [
        b"nonsense",
        b"[]",
        b'{"node":["x"]}',
        b'{"node":"x","number":1,"rooms":3,"part":0,"last":true}',
        b'"x"',
    ],
)
def test_a_broadcast_that_no_node_sent_is_passed_over(message: bytes) -> None:
    async def scenario(node: Node) -> None:
        node.hub.nodes.on_message(message)
        wire = node.subscribe("drop.a")
        await until(lambda: wire.told("subscribed") == 1)

    run(scenario)


def test_a_scrape_looks_at_so_many_channels_a_turn() -> None:
    async def scenario(node: Node) -> None:
        for number in range(3 * READ_SLICE):
            node.subscribe(f"drop.{number}")
        await until(lambda: node.hub.feeds.announcements.settled)
        turns = 0

        async def read() -> dict[str, dict[tuple[str, ...], float]]:
            return {name: dict(values) async for name, _, values, _ in node.hub.readings()}

        reading = asyncio.create_task(read())
        while not reading.done():
            await asyncio.sleep(0)
            turns += 1
        assert reading.result()["eventhub_channels"]["drop",] == 3 * READ_SLICE
        assert reading.result()["eventhub_subscriptions"]["drop",] == 3 * READ_SLICE
        assert turns > 3

    run(scenario)


def test_the_broker_is_up_while_it_says_nothing_else_and_its_answers_are_timed() -> None:
    async def scenario(node: Node) -> None:
        async def up() -> float:
            (found,) = [
                values[()]
                async for name, _, values, _ in node.hub.readings()
                if name == "eventhub_broker_up"
            ]
            return found

        assert await up() == 1
        node.broker.trouble = "gone"
        assert await up() == 0
        await node.publish("drop.a", "1", "2")
        text = (await node.metrics.scrape()).decode()
        assert "eventhub_broker_publish_seconds_count 1.0\n" in text

    run(scenario)
