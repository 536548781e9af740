"""Versions of schemas are kept on every broker."""

import asyncio

from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SlowReaderPolicy,
)
from eventhub.events.compatibility.versions import TypeVersion
from eventhub.events.schema import FileSchema
from eventhub.hub.hub import Hub
from eventhub.hub.schema_versions import SchemaVersions
from tests.contract.conftest import Backend, Node


async def settled(node: Node, kind: str) -> ChannelType:
    """A channel type of one node whose schema asks for this kind of values."""
    channel_type = ChannelType(
        "orders",
        "order.json",
        FileSchema({"type": kind}),
        Retention(10, None),
        presence=False,
        slow=SlowReaderPolicy.DROP,
        publish=frozenset(PublisherKind),
        version=TypeVersion(),
    )
    versions = SchemaVersions(ChannelTypes({"orders": channel_type}), node.broker, Hub.now)
    await versions.settle()
    kept = await versions.kept(channel_type)
    assert [each.schemas.stored for each in kept if each.version == number(channel_type)] == [
        {"type": kind}
    ]
    return channel_type


def number(channel_type: ChannelType) -> int:
    assert channel_type.version is not None
    assert channel_type.version.number is not None
    return channel_type.version.number


def test_each_schema_has_one_version_whichever_nodes_start_together(start_nodes: Backend) -> None:
    async def scenario() -> None:
        async with start_nodes(2) as (one, other):
            kinds = ("string", "number", "null", "string")
            places = (one, other, one, other)
            started = await asyncio.gather(*map(settled, places, kinds))
            versions = [number(each) for each in started]
            assert sorted(set(versions)) == [1, 2, 3]
            assert versions[0] == versions[3]
            assert [number(await settled(other, kind)) for kind in kinds] == versions

    asyncio.run(scenario())
