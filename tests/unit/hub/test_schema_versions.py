"""hub/schema_versions.py: versions are kept at the broker, and two nodes do not fight."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from eventhub.brokers.memory import MemoryBroker
from eventhub.errors import (
    BrokerUnavailable,
    ConfigurationError,
    EventHubError,
    NotFound,
    PayloadTooLarge,
)
from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SlowReaderPolicy,
    StateRetention,
)
from eventhub.events.compatibility.changes import Compatibility
from eventhub.events.compatibility.versions import TypeVersion, stamped
from eventhub.events.event import KEY, HistoryPage, NewEvent, Receipt, Start
from eventhub.events.schema import FileSchema
from eventhub.hub.hub import Hub
from eventhub.hub.schema_versions import (
    ATTEMPTS,
    RECENT_MILLISECONDS,
    START_SECONDS,
    SchemaVersions,
)
from tests.harness.virtual_time import run_in_virtual_time

INTEGER, NUMBER, TEXT = {"type": "integer"}, {"type": "number"}, {"type": "string"}


class Broker(MemoryBroker):
    """`away`: so many calls of history fail. `before_publish` runs before each publish."""

    def __init__(self) -> None:
        super().__init__(lambda _: Retention(1000, None, StateRetention(latest=True)), Hub.now)
        self.away = 0
        self.before_publish: list[Any] = []
        self.refusal: EventHubError | None = None

    async def history(self, channel: str, since: Start, limit: int) -> HistoryPage:
        if self.away:
            self.away -= 1
            raise BrokerUnavailable("away")
        return await super().history(channel, since, limit)

    async def publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        if self.before_publish:
            await self.before_publish.pop(0)()
        if self.refusal is not None:
            return [self.refusal]
        return await super().publish(events)


def node(
    broker: Broker,
    schema: dict[str, Any],
    mode: Compatibility = Compatibility.BACKWARD,
    wanted: int | None = None,
) -> tuple[SchemaVersions, ChannelType]:
    kind = ChannelType(
        "orders",
        "order.json",
        FileSchema(schema),
        Retention(10, None),
        presence=False,
        slow=SlowReaderPolicy.DROP,
        publish=frozenset(PublisherKind),
        version=TypeVersion(mode, wanted),
    )
    return SchemaVersions(ChannelTypes({"orders": kind}), broker, Hub.now), kind


async def settled(broker: Broker, schema: dict[str, Any], **more: Any) -> tuple[int, int]:
    """The version of a node with this schema, and the newest one that it saw."""
    versions, kind = node(broker, schema, **more)
    await versions.settle()
    assert kind.version is not None
    assert kind.version.number is not None
    assert kind.version.newest is not None
    return kind.version.number, kind.version.newest


def test_a_schema_is_kept_and_found_again_by_other_nodes() -> None:
    async def scenario() -> None:
        broker = Broker()
        assert await settled(broker, INTEGER) == (1, 1)
        assert await settled(broker, NUMBER) == (2, 2)
        assert await settled(broker, NUMBER) == (2, 2)
        assert await settled(broker, INTEGER) == (1, 2)  # an old node that starts again
        versions, kind = node(broker, NUMBER)
        assert [each.version for each in await versions.kept(kind)] == [1, 2]
        assert (await versions.version(kind, 1)).schemas.stored == INTEGER
        with pytest.raises(NotFound, match="has no version 3; there is 1, 2"):
            await versions.version(kind, 3)

    asyncio.run(scenario())


def test_a_schema_that_breaks_the_kept_one_is_refused_and_not_kept() -> None:
    async def scenario() -> None:
        broker = Broker()
        await settled(broker, NUMBER)
        versions, kind = node(broker, TEXT)
        with pytest.raises(ConfigurationError, match="it breaks version 1:"):
            await versions.settle()
        assert len(await versions.kept(kind)) == 1
        assert versions.unready() == "the versions of orders are not read yet"

    asyncio.run(scenario())


def test_of_two_nodes_with_different_schemas_the_second_is_compared_with_the_first() -> None:
    async def scenario() -> None:
        broker = Broker()

        async def other() -> None:
            assert await settled(broker, INTEGER) == (1, 1)

        broker.before_publish = [other]
        assert await settled(broker, NUMBER) == (2, 2)

        async def breaking() -> None:
            assert await settled(broker, TEXT, mode=Compatibility.NONE) == (3, 3)

        broker.before_publish = [breaking]
        with pytest.raises(ConfigurationError, match="it breaks version 3:"):
            await settled(broker, {"type": ["number", "null"]})

    asyncio.run(scenario())


def test_a_node_gives_up_when_others_are_first_again_and_again() -> None:
    async def scenario() -> None:
        broker = Broker()

        async def other(number: int) -> None:
            await settled(broker, {"maximum": number}, mode=Compatibility.NONE)

        def first(number: int) -> Any:
            # the other node publishes, too: it takes its own turn
            return lambda: other(number)

        async def nothing() -> None: ...

        for number in range(ATTEMPTS):
            broker.before_publish += [first(number), nothing]
        with pytest.raises(ConfigurationError, match=f"accepted {ATTEMPTS} times"):
            await settled(broker, TEXT, mode=Compatibility.NONE)

    asyncio.run(scenario())


def test_a_broker_that_is_away_is_waited_for() -> None:
    async def scenario() -> None:
        broker = Broker()
        broker.away = 3
        versions, kind = node(broker, TEXT)
        assert await versions.settle_soon()
        assert versions.unready() is None
        assert stamped(kind.version, {"by": "ana"}) == {"by": "ana", "schema": "1"}

    run_in_virtual_time(scenario())


def test_a_start_waits_for_a_bounded_time_and_goes_on_later() -> None:
    async def scenario() -> None:
        broker = Broker()
        broker.away = 1_000_000
        versions, kind = node(broker, TEXT)
        begin = asyncio.get_running_loop().time()
        assert not await versions.settle_soon()
        assert asyncio.get_running_loop().time() - begin == START_SECONDS
        with pytest.raises(BrokerUnavailable):
            stamped(kind.version, None)
        broker.away = 1
        await versions.settle_later()
        assert stamped(kind.version, None) == {"schema": "1"}

    run_in_virtual_time(scenario())


def test_a_schema_that_the_broker_does_not_take_is_refused() -> None:
    async def scenario() -> None:
        broker = Broker()
        broker.refusal = PayloadTooLarge("it has 2000000 bytes")
        with pytest.raises(ConfigurationError, match="cannot be kept: it has 2000000 bytes"):
            await settled(broker, TEXT)

    asyncio.run(scenario())


def test_a_record_that_cannot_be_read_is_left_out() -> None:
    async def scenario() -> None:
        broker = Broker()
        await broker.publish([NewEvent("_schemas.orders", b'"x"', Hub.now(), {KEY: "1"})])
        versions, kind = node(broker, TEXT)
        assert await versions.kept(kind) == []

    asyncio.run(scenario())


def test_metrics_have_the_versions_once_they_are_known() -> None:
    async def scenario() -> None:
        broker = Broker()
        await settled(broker, INTEGER)
        await settled(broker, NUMBER)
        versions, _ = node(broker, INTEGER)
        assert [values async for _, _, values, _ in versions.readings()] == [{}, {}]
        await versions.settle()
        assert [values async for _, _, values, _ in versions.readings()] == [
            {("orders",): 1},
            {("orders",): 2},
        ]

    asyncio.run(scenario())


def test_answers_about_versions_are_repeated_for_a_second() -> None:
    async def scenario() -> None:
        broker = Broker()
        await settled(broker, INTEGER)
        _, kind = node(broker, INTEGER)
        now = 1_000_000
        versions = SchemaVersions(ChannelTypes({"orders": kind}), broker, lambda: now)
        assert len(await versions.recent(kind)) == 1
        await settled(broker, NUMBER)
        now += RECENT_MILLISECONDS - 1
        assert len(await versions.recent(kind)) == 1
        now += 1
        assert len(await versions.recent(kind)) == 2
        now -= RECENT_MILLISECONDS  # the clock was set back
        await settled(broker, TEXT, mode=Compatibility.NONE)
        assert len(await versions.recent(kind)) == 3

    asyncio.run(scenario())


def test_a_type_of_the_server_s_own_has_no_versions() -> None:
    async def scenario() -> None:
        broker = Broker()
        broker.away = 1
        versions, kind = node(broker, TEXT)
        assert await versions.recent(replace(kind, version=None)) == []
        assert broker.away == 1

    asyncio.run(scenario())
