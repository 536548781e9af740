"""brokers/memory.py beyond the contract: its bounds."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.memory_state import EVENT_OVERHEAD
from eventhub.brokers.retained import RetainedEvents
from eventhub.errors import TooManyChannels
from eventhub.events.channel_types import Retention
from eventhub.events.event import (
    Age,
    Earliest,
    Event,
    Last,
    NewEvent,
    Position,
    Receipt,
)
from tests.harness.virtual_time import in_virtual_time, turns

NOW = 1_795_000_000_000


class Bounded:
    """A memory broker with small bounds and a clock moved by hand."""

    def __init__(self, age: int | None = None, **bounds: int) -> None:
        self.now = NOW
        self.broker = MemoryBroker(lambda channel: Retention(1000, age), lambda: self.now, **bounds)

    def publish(self, channel: str, data: bytes = b"1", key: str | None = None) -> object:
        (outcome,) = asyncio.run(self._publish([NewEvent(channel, data, self.now, None, key)]))
        return outcome

    def texts(self, channel: str) -> list[bytes]:
        return [
            event.data
            for event in asyncio.run(self.broker.history(channel, Earliest(), 10_000)).events
        ]

    async def _publish(self, events: Sequence[NewEvent]) -> Sequence[object]:
        return await self.broker.publish(events)


def test_channels_beyond_the_bound_are_refused_and_the_others_go_on() -> None:
    node = Bounded(max_channels=2)
    assert isinstance(node.publish("a"), Receipt)
    assert isinstance(node.publish("b"), Receipt)
    assert isinstance(node.publish("c"), TooManyChannels)
    assert isinstance(node.publish("a"), Receipt)


def test_a_channel_whose_events_expired_makes_room_and_its_old_positions_are_never_reused() -> None:
    node = Bounded(max_channels=1, age=1000)
    old = [node.publish("a") for _ in range(5)]
    node.now += 2000
    assert isinstance(node.publish("b"), Receipt)
    node.now += 2000
    new = node.publish("a")
    assert isinstance(old[0], Receipt)
    assert isinstance(new, Receipt)
    assert new.position.offset > 5
    piece = asyncio.run(node.broker.history("a", old[0].position, 10))
    assert piece.lost == "expired", (
        "the reader of a forgotten log is told, not served a log that only looks the same"
    )


def test_channels_that_are_listened_to_take_no_room_of_those_with_events() -> None:
    node = Bounded(max_channels=1)
    for number in range(100):
        asyncio.run(node.broker.subscribe(f"a{number}"))
    assert isinstance(node.publish("b"), Receipt)


def test_a_subscribed_channel_keeps_its_place_when_its_log_makes_room() -> None:
    node = Bounded(max_channels=1, age=1000)
    begun = asyncio.run(node.broker.subscribe("a"))
    assert begun.offset == 0
    old = node.publish("a")
    assert isinstance(old, Receipt)
    for _ in range(5):
        node.now += 2000
        assert isinstance(node.publish("b"), Receipt)
        node.now += 2000
        assert isinstance(node.publish("c"), Receipt)
    assert asyncio.run(node.broker.subscribe("a")) == old.position
    node.now += 2000
    new = node.publish("a")
    assert isinstance(new, Receipt)
    assert new.position.offset == old.position.offset + 1, "whoever listens sees no hole"
    assert asyncio.run(node.broker.history("a", old.position, 10)).lost is None


def test_the_largest_logs_are_trimmed_when_all_together_are_too_large() -> None:
    node = Bounded(max_bytes=20 * (100 + EVENT_OVERHEAD))
    node.publish("small", b"1")
    texts = [b"%100d" % number for number in range(50)]
    kept = []
    for number, text in enumerate(texts, 1):
        node.publish("large", text)
        kept.append(len(node.texts("large")))
        assert node.texts("large") == texts[number - kept[-1] : number], "the newest"
    assert node.texts("small") == [b"1"]
    assert kept[:19] == list(range(1, 20)), "all, while there is room"
    assert max(kept) <= 20
    assert min(kept[19:]) >= 9, "no more is trimmed than a half"
    first = asyncio.run(
        node.broker.history(
            "large", Position(asyncio.run(node.broker.subscribe("large")).epoch, 1), 10
        )
    )
    assert first.lost == "expired"


def test_idempotency_keys_are_bounded() -> None:
    node = Bounded(max_keys=10)
    first = node.publish("a", key="0")
    for number in range(1, 20):
        node.publish("a", key=str(number))
    again = node.publish("a", key="0")
    assert isinstance(first, Receipt)
    assert isinstance(again, Receipt)
    assert not again.replayed, "the oldest key was forgotten"
    newest = node.publish("a", key="19")
    assert isinstance(newest, Receipt)
    assert newest.replayed, "and not the newest"


def test_a_search_for_room_that_found_none_is_not_repeated_for_every_event() -> None:
    node = Bounded(max_channels=1, age=1000)
    node.publish("a")
    assert isinstance(node.publish("b"), TooManyChannels)
    node.now += 999
    assert isinstance(node.publish("b"), TooManyChannels)
    node.now += 2
    assert isinstance(node.publish("b"), Receipt)


def test_a_channel_that_was_only_listened_to_leaves_nothing_behind() -> None:
    node = Bounded(max_channels=1)
    for number in range(100):
        asyncio.run(node.broker.subscribe(f"a{number}"))
        asyncio.run(node.broker.history(f"b{number}", Earliest(), 10))
        asyncio.run(node.broker.unsubscribe(f"a{number}"))
    assert (node.broker._logs, node.broker._subscribed) == ({}, {})


def test_reading_looks_at_a_page_and_not_at_what_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    refreshed = 0

    def count(
        events: RetainedEvents,
        index: int,
        get: Callable[[RetainedEvents, int], Event] = RetainedEvents.__getitem__,
    ) -> Event:
        nonlocal refreshed
        refreshed += 1
        return get(events, index)

    async def main() -> None:
        nonlocal refreshed
        new = [NewEvent("a", b"1", NOW - 100_000 + number) for number in range(100_001)]
        results = await broker.publish(new)
        middle = results[50_000]
        assert isinstance(middle, Receipt)
        monkeypatch.setattr(RetainedEvents, "__getitem__", count)
        for since in (Earliest(), Age(1), Age(50_000), Last(1), Last(50_000), middle.position):
            refreshed = 0
            piece = await broker.history("a", since, 10)
            assert piece.events
            assert 0 < refreshed <= 10 + 20, since

    broker = MemoryBroker(lambda channel: Retention(200_000, None), lambda: NOW)
    asyncio.run(main())


def readings(broker: MemoryBroker) -> dict[str, float]:
    async def read() -> dict[str, float]:
        return {name: values[()] async for name, _, values, _ in broker.readings()}

    return asyncio.run(read())


def test_the_readings_are_the_bytes_of_all_logs_and_their_bound() -> None:
    node = Bounded(max_bytes=10_000)
    node.publish("a", b"1")
    node.publish("b", b"22")
    assert readings(node.broker) == {
        "eventhub_history_bytes": 3 + 2 * EVENT_OVERHEAD,
        "eventhub_history_bytes_limit": 10_000,
    }


@pytest.mark.parametrize("at_once", [1, 10])
def test_logs_that_are_too_large_are_halved_largest_first_until_a_tenth_is_free(
    at_once: int,
) -> None:
    node = Bounded(max_bytes=20 * EVENT_OVERHEAD)
    for channel in ("small", "large"):
        for _ in range(1 if channel == "small" else 20 // at_once):
            new = [NewEvent(channel, b"", node.now)] * (1 if channel == "small" else at_once)
            asyncio.run(node._publish(new))
    assert len(node.texts("small")) == 1
    assert len(node.texts("large")) == 10
    assert readings(node.broker)["eventhub_history_bytes"] == 11 * EVENT_OVERHEAD


def test_a_key_is_known_for_ten_minutes() -> None:
    node = Bounded()
    first = node.publish("a", key="k")
    assert isinstance(first, Receipt)
    node.now += 600_000
    assert node.publish("a", key="k") == first._replace(replayed=True)
    node.now += 1
    again = node.publish("a", key="k")
    assert isinstance(again, Receipt)
    assert not again.replayed


def test_as_many_keys_are_known_as_the_bound_says() -> None:
    node = Bounded(max_keys=2)
    receipts = [node.publish("a", key=str(number)) for number in range(2)]
    assert node.publish("a", key="1") == receipts[1]._replace(replayed=True)  # type: ignore[attr-defined]


def test_no_two_runs_of_a_broker_have_one_epoch() -> None:
    epochs = {asyncio.run(Bounded().broker.subscribe("a")).epoch for _ in range(20)}
    assert len(epochs) == 20
    assert {len(epoch) for epoch in epochs} == {8}


@in_virtual_time
async def test_events_of_an_idle_channel_expire_within_half_a_minute() -> None:
    node = Bounded(age=1000)
    await node.broker.publish([NewEvent("a", b"1", node.now)])
    running = asyncio.create_task(
        node.broker.run(
            lambda event: None, lambda channel: None, lambda message: None, lambda channel: None
        )
    )
    await asyncio.sleep(1)
    node.now += 1001
    await asyncio.sleep(30)
    assert node.broker._ledger.bytes == 0
    running.cancel()


@in_virtual_time
async def test_only_a_broker_that_runs_announces_events() -> None:
    node = Bounded()
    announced: list[Event] = []
    await node.broker.subscribe("a")
    running = asyncio.create_task(
        node.broker.run(
            announced.append, lambda channel: None, lambda message: None, lambda channel: None
        )
    )
    await turns()
    await node.broker.publish([NewEvent("a", b"1", node.now)])
    running.cancel()
    await turns()
    await node.broker.publish([NewEvent("a", b"2", node.now)])
    assert [event.data for event in announced] == [b"1"]
