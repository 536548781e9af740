"""brokers/memory.py: the events of an array, stored in one step."""

import asyncio

from eventhub.brokers.memory import MemoryBroker
from eventhub.brokers.memory_state import EVENT_OVERHEAD
from eventhub.errors import TooManyChannels
from eventhub.events.channel_types import Retention
from eventhub.events.event import Earliest, Event, NewEvent, NewEvents, Receipt, Receipts

NOW = 1_795_000_000_000


def broker(**bounds: int) -> MemoryBroker:
    return MemoryBroker(lambda channel: Retention(1000, None), lambda: NOW, **bounds)


def test_the_events_of_an_array_are_stored_and_announced_as_those_that_come_one_by_one() -> None:
    memory, heard = broker(), list[Event]()

    async def main() -> None:
        task = asyncio.create_task(
            memory.run(
                heard.append, lambda channel: None, lambda message: None, lambda channel: None
            )
        )
        await memory.subscribe("a")
        await asyncio.sleep(0)
        attributes = {"source": "/x"}
        new = NewEvents("a", [b"1", b"2"], NOW, attributes)
        assert isinstance(receipts := memory.publish_all_now(new), Receipts)
        alone = memory.publish_now(NewEvent("a", b"3", NOW, attributes))
        assert isinstance(alone, Receipt)
        assert receipts == (alone.position.epoch, alone.position.offset - 2, 2, NOW)
        stored = (await memory.history("a", Earliest(), 10)).events
        assert [event[2:] for event in stored] == [
            (offset, offset - 1, NOW, data, attributes)
            for offset, data in enumerate([b"1", b"2", b"3"], receipts.first)
        ]
        assert {event[:2] for event in stored} == {("a", receipts.epoch)}
        assert heard == stored
        task.cancel()

    asyncio.run(main())


def test_an_array_for_a_channel_beyond_the_bound_is_refused_event_by_event() -> None:
    memory = broker(max_channels=1)
    memory.publish_now(NewEvent("a", b"1", NOW))
    refused = memory.publish_all_now(NewEvents("b", [b"1", b"2"], NOW))
    assert [type(error) for error in refused] == [TooManyChannels] * 2
    assert refused[0] is not refused[1], "each is counted"


def test_the_events_of_an_array_count_for_the_bound_in_bytes() -> None:
    memory = broker(max_bytes=10 * (EVENT_OVERHEAD + 1))
    memory.publish_all_now(NewEvents("a", [b"1"] * 11, NOW))
    page = asyncio.run(memory.history("a", Earliest(), 100))
    assert len(page.events) == 5
