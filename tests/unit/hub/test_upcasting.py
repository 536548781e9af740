"""hub/upcasting.py: history and live events have one version, and failures are counted."""

import asyncio
from typing import Any

import orjson
from structlog.testing import capture_logs

from eventhub.brokers.memory import MemoryBroker
from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SlowReaderPolicy,
)
from eventhub.events.compatibility.versions import TypeVersion, Upcast
from eventhub.events.event import Earliest, Event, NewEvent
from eventhub.events.schema import AnySchema
from eventhub.hub.hub import Hub
from eventhub.hub.upcasting import UpcastingBroker
from eventhub.observability.metrics import Metrics
from tests.harness.hubs import running


def doubled(data: Any) -> Any:
    return data * 2 if data < 100 else data["x"]


def types() -> ChannelTypes:
    def kind(name: str, version: TypeVersion | None) -> ChannelType:
        return ChannelType(
            name,
            "order.json",
            AnySchema(),
            Retention(10, None),
            presence=False,
            slow=SlowReaderPolicy.DROP,
            publish=frozenset(PublisherKind),
            version=version,
        )

    version = TypeVersion(upcasts={1: Upcast(2, doubled)})
    version.settle(2, 2)
    return ChannelTypes({"orders": kind("orders", version), "free": kind("free", None)})


def new(channel: str, number: int, schema: str = "1") -> NewEvent:
    return NewEvent(channel, orjson.dumps(number), Hub.now(), {"schema": schema})


class Place:
    """An upcasting broker on a memory broker, which delivers to `live`."""

    def __init__(self) -> None:
        found = types()
        self.stored = MemoryBroker(lambda channel: found.resolve(channel).retention, Hub.now)
        self.broker = UpcastingBroker(self.stored, found)
        self.hub = Hub(found, self.broker, Metrics(kind.name for kind in found))
        self.live: list[Event] = []

    async def page(self, channel: str) -> list[tuple[Any, str]]:
        page = await self.broker.history(channel, Earliest(), 100)
        return [shown(event) for event in page.events]


def shown(event: Event) -> tuple[Any, str]:
    return orjson.loads(event.data), (event.attributes or {})["schema"]


def test_history_and_live_events_have_the_version_of_the_node() -> None:
    async def scenario() -> None:
        place = Place()
        run = place.broker.run(place.live.append, print, print, lambda _: None)
        task = asyncio.create_task(run)
        await asyncio.sleep(0)
        await place.broker.subscribe("orders.eu")
        await place.broker.publish([new("orders.eu", 1), new("orders.eu", 5, "2")])
        assert await place.page("orders.eu") == [(2, "2"), (5, "2")]
        assert [shown(event) for event in place.live] == [(2, "2"), (5, "2")]
        task.cancel()

    asyncio.run(scenario())


def test_other_channel_types_and_current_events_are_passed_on_as_they_are() -> None:
    async def scenario() -> None:
        place = Place()
        await place.broker.publish([new("free.a", 1), new("orders.eu", 5, "2")])
        for channel in ("free.a", "orders.eu"):
            page = await place.stored.history(channel, Earliest(), 100)
            read = await place.broker.history(channel, Earliest(), 100)
            assert all(new is old for new, old in zip(read.events, page.events, strict=True))

    asyncio.run(scenario())


def test_the_hub_reads_through_it() -> None:
    async def scenario() -> None:
        place = Place()
        async with running(place.hub):
            await place.hub.publish([new("orders.eu", 1)])
            page = await place.hub.history("orders.eu", Earliest(), 10)
            assert [shown(event) for event in page.events] == [(2, "2")]

    asyncio.run(scenario())


def test_failures_are_counted_and_logged_once_for_each_version() -> None:
    async def scenario() -> None:
        place = Place()
        await place.broker.publish([new("orders.eu", 100), new("orders.eu", 101)])
        with capture_logs() as logs:
            assert await place.page("orders.eu") == [(100, "1"), (101, "1")]
            await place.page("orders.eu")
        assert [(each["event"], each["version"]) for each in logs] == [("event_not_upcast", 1)]
        [(name, _, values, labels)] = [each async for each in place.broker.readings()]
        assert name == "eventhub_events_not_upcast_total"
        assert (values, labels) == ({("orders", "1"): 4}, ("type", "version"))

    asyncio.run(scenario())
