"""What the Redis broker stores, for how long, and what happens when Redis evicts it or is full."""

import asyncio
from itertools import count, islice
from pathlib import Path

import pytest

from eventhub.brokers.redis import metadata
from eventhub.brokers.redis.codec import slot
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.clock import unix_milliseconds
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import Age, Earliest, Last, NewEvent, Position
from tests.harness.eventually import async_eventually
from tests.harness.redis_servers import RedisServer, cluster
from tests.integration.redis_nodes import CHANNEL, RedisNode, nodes
from tests.integration.redis_server import (
    position,
    server_fixture,  # noqa: F401
    texts,
)

STEP = 14_400_000_000
"""Of the places where a channel without events stands (log.lua)."""


@pytest.mark.parametrize("what", ["log", "metadata"])
def test_readers_of_an_evicted_channel_get_a_gap(server: RedisServer, what: str) -> None:
    async def main() -> None:
        async with nodes(server.url) as (node,):
            reader = await node.read()
            first, *_ = await node.publish("1", "2", "3")
            server.call("DEL", getattr(node.broker._names, what)("chat.a"))
            assert (await node.broker.history("chat.a", position(first), 10)).lost is not None
            (last,) = await node.publish("4")
            await async_eventually(
                "the last", lambda: position(last) in [place for place, _ in reader.events]
            )
            piece = await node.broker.history("chat.a", position(first), 10)
            assert piece.lost == ("expired" if what == "log" else "reset")
            assert reader.reasons() == ([] if what == "log" else ["reset"])

    asyncio.run(main())


def keys_of(server: RedisServer, node: RedisNode) -> set[bytes]:
    """The keys below the node's prefix."""
    return set(server.call("KEYS", f"{node.broker._names._prefix}:*"))


def test_reading_channels_that_nobody_used_stores_one_key_however_many_they_are(
    server: RedisServer,
) -> None:
    async def main() -> None:
        async with nodes(server.url) as (node,):
            await node.becomes(ready=True)
            asked: list[Position | Earliest | Last | Age] = [
                Earliest(),
                Last(5),
                Age(1000),
                Position("abc", 7),
            ]
            for first in range(0, 5_000, 500):
                channels = [f"chat.unused{number}" for number in range(first, first + 500)]
                await asyncio.gather(
                    *(node.broker.history(name, asked[len(name) % 4], 10) for name in channels)
                )
            await asyncio.gather(
                *(node.broker.subscribe(f"chat.heard{number}") for number in range(500))
            )
            assert keys_of(server, node) == {node.broker._names.epoch("chat.a").encode()}

    asyncio.run(main())


def test_in_a_cluster_it_stores_a_key_for_each_slot_at_most(tmp_path: Path) -> None:
    async def main(servers: list[RedisServer]) -> None:
        async with nodes(servers[0].url.replace("redis://", "redis+cluster://")) as (node,):
            await node.becomes(ready=True)
            channels = list(
                islice(
                    (name for name in map("chat.x{}".format, count()) if slot(name) % 1024 == 5),
                    100,
                )
            )
            await asyncio.gather(*(node.broker.history(name, Earliest(), 10) for name in channels))
            assert (
                sum(len(keys_of(server, node)) for server in servers)
                == len({slot(name) for name in (CHANNEL, *channels)})
                <= 17
            )

    with cluster(tmp_path) as servers:
        asyncio.run(main(servers))


def test_keys_at_redis_expire_with_the_events_they_belong_to(server: RedisServer) -> None:
    async def main() -> None:
        async with nodes(server.url) as (node,):
            await node.publish("1", channel="chat.used", key="k")
            assert server.call("PTTL", node.broker._names.metadata("chat.used")) > 86_400_000
            assert 3_600_000 < server.call("PTTL", node.broker._names.log("chat.used")) <= 3_660_000
            assert (
                600_000 < server.call("PTTL", node.broker._names.key("chat.used", "k")) <= 660_000
            )

    asyncio.run(main())


def test_a_reader_of_a_channel_without_events_misses_nothing_whatever_came_since(
    server: RedisServer,
) -> None:
    async def main() -> None:
        async with nodes(server.url, server.url) as (node, other):
            begun = (await node.broker.history(CHANNEL, Earliest(), 10)).end
            assert await other.broker.subscribe(CHANNEL) == begun
            first, second = await other.publish("1", "2")
            for limit in (1, 10):
                piece = await node.broker.history(CHANNEL, begun, limit)
                assert (piece.lost, piece.start) == (None, begun)
                assert [str(event.position) for event in piece.events] == [first, second][:limit]
            assert (await node.broker.history(CHANNEL, position(first), 10)).events[
                0
            ].previous == position(first).offset
            hole = begun._replace(offset=begun.offset + 1)
            assert (await node.broker.history(CHANNEL, hole, 10)).lost == "reset", (
                "no channel ever stood there"
            )

    asyncio.run(main())


@pytest.mark.parametrize("steps", [1, 5, 7])
def test_the_position_of_a_channel_without_events_is_known_for_a_day(
    server: RedisServer, steps: int
) -> None:
    async def main() -> None:
        async with nodes(server.url) as (node,):
            now = (await node.broker.history(CHANNEL, Earliest(), 10)).end
            earlier = now._replace(offset=now.offset - steps * STEP)
            lost = None if steps < 6 else "expired"
            piece = await node.broker.history(CHANNEL, earlier, 10)
            assert (piece.lost, piece.start) == (lost, now)
            (first,) = await node.publish("1")
            piece = await node.broker.history(CHANNEL, earlier, 10)
            assert (piece.lost, [str(event.position) for event in piece.events]) == (lost, [first])

    asyncio.run(main())


def test_names_of_forgotten_channels_do_not_pile_up(server: RedisServer) -> None:
    async def main() -> None:
        async with nodes(server.url) as (node,):
            names = node.broker._names
            key = names.channels("logs.x")

            async def born(number: int) -> None:
                channel = f"logs.forgotten{number}"
                await node.broker.publish([NewEvent(channel, b"1", unix_milliseconds())])
                server.call("DEL", names.metadata(channel))

            for number in range(200):
                await born(number)
            assert server.call("ZCARD", key) < 20, "each birth looks at three names"
            page = await node.broker.channels(ChannelPattern("logs.>"), "", 100)
            assert page.channels == []
            assert server.call("ZRANGEBYLEX", key, "[logs.f", "(logs.g") == []

    asyncio.run(main())


def test_a_long_subscription_to_a_channel_without_events_keeps_its_position(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata, "KEEP_SECONDS", 0)
    monkeypatch.setattr(metadata, "REFRESH_SECONDS", 0.01)

    async def main() -> None:
        async with nodes(server.url) as (node,):
            reader = await node.read()
            key = node.broker._names.metadata(CHANNEL)
            await async_eventually("the metadata", lambda: server.call("EXISTS", key) == 1)
            assert server.call("PTTL", key) > 86_400_000
            begun = (await node.broker.history(CHANNEL, Earliest(), 10)).end
            months = begun._replace(offset=begun.offset - 500 * STEP)
            server.call("HSET", key, "base", months.offset)  # it has been kept for so long
            assert (await node.broker.history(CHANNEL, months, 10)).lost is None
            (first,) = await node.publish("1")
            assert position(first).offset > begun.offset
            piece = await node.broker.history(CHANNEL, months, 10)
            assert (piece.lost, [str(event.position) for event in piece.events]) == (None, [first])
            await async_eventually(
                "the first alone",
                lambda: [place for place, _ in reader.events] == [position(first)],
            )
            assert reader.reasons() == []

    asyncio.run(main())


@pytest.mark.parametrize("published", [False, True])
def test_a_position_before_the_first_event_is_reset_after_everything_was_flushed(
    tmp_path: Path, *, published: bool
) -> None:
    async def main() -> None:
        async with nodes(redis.url) as (node,):
            begun = (await node.broker.history(CHANNEL, Earliest(), 10)).end
            await node.publish("lost", channel=CHANNEL if published else "chat.other")
            redis.call("FLUSHALL")
            assert (await node.broker.history(CHANNEL, begun, 10)).lost == "reset"
            (new,) = await node.publish("new")
            piece = await node.broker.history(CHANNEL, begun, 10)
            assert (piece.lost, [str(event.position) for event in piece.events]) == ("reset", [new])

    with RedisServer(tmp_path) as redis:
        asyncio.run(main())


def test_an_evicted_channel_loses_its_idempotency_keys_and_uses_no_offset_twice(
    server: RedisServer,
) -> None:
    async def main() -> None:
        async with nodes(server.url) as (node,):
            (old,) = await node.publish("1", key="k")
            server.call("DEL", node.broker._names.metadata(CHANNEL))
            (new,) = await node.publish("1", key="k")
            assert position(new).offset > position(old).offset
            assert await texts(node) == ["1"], "the log's rest belongs to nothing"
            assert (await node.publish("1", key="k")) == [new]
            assert (await node.broker.history(CHANNEL, position(old), 10)).lost == "reset"

    asyncio.run(main())


def test_a_full_redis_still_serves_history_and_subscribers(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(redis.url) as (node,):
            (first,) = await node.publish("1")
            redis.call("CONFIG", "SET", "maxmemory", 1)
            for channel in (CHANNEL, "chat.unused"):
                assert (
                    await node.broker.history(channel, Earliest(), 10)
                ).end == await node.broker.subscribe(channel)
            assert [place for place, _ in await node.log(CHANNEL)] == [position(first)]

    with RedisServer(tmp_path, "--maxmemory-policy", "noeviction") as redis:
        asyncio.run(main())


def test_a_full_redis_refuses_publishes_and_names_the_reason(tmp_path: Path) -> None:
    async def main() -> None:
        async with nodes(redis.url) as (node,):
            await node.publish("1")
            redis.call("CONFIG", "SET", "maxmemory", 1)
            with pytest.raises(BrokerUnavailable, match=r"not stored.*out of memory \(maxmemory\)"):
                await node.publish("2")
            redis.call("CONFIG", "SET", "maxmemory", 0)
            await node.publish("3")
            assert await texts(node) == ["1", "3"]

    with RedisServer(tmp_path) as redis:
        asyncio.run(main())
