"""The Redis broker with real faults: an acknowledged event arrives, or its readers get a gap."""

import asyncio
import operator
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from eventhub.brokers.redis import broker, shard
from eventhub.brokers.redis.codec import slot
from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.clock import unix_milliseconds
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import Age, Earliest, Last, NewEvent, Position
from tests.harness.eventually import async_eventually
from tests.harness.proxy import Proxy
from tests.harness.redis_servers import RedisServer, cluster
from tests.integration.checker import CLEAN, Books
from tests.integration.redis_nodes import CHANNEL, RedisNode, nodes

NOTICED_SECONDS = 20
"""Until a node says that it is not ready."""
STEP = 14_400_000_000
"""Of the places where a channel without events stands (log.lua)."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A shared server, for tests that do not damage it."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(
        tmp_path,
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
        "--enable-debug-command",
        "local",
    ) as server:
        yield server


def under_load(
    url: str, fault: Callable[[list[RedisNode], Books], Awaitable[None]]
) -> list[list[str]]:
    """Two nodes with readers and publishers, a fault, and the accounts.

    Returns the gaps that each reader got.
    """

    async def main() -> list[list[str]]:
        async with nodes(url, url) as running:
            books = Books()
            async with books.loading(running):
                await books.more()
                await fault(running, books)
                await books.more()
            await books.close(running)
            assert books.faults(running) == CLEAN
            return told(running)

    return asyncio.run(main())


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a server may answer late without being lost: no publish may fail."""
    monkeypatch.setattr(shard, "ANSWER_SECONDS", shard.BUSY_SECONDS)


def told(running: list[RedisNode]) -> list[list[str]]:
    """The reasons of the gaps that each reader got."""
    return [node.readers[CHANNEL].reasons() for node in running]


@pytest.mark.usefixtures("patient")
def test_killing_the_broker_s_subscriber_connection_loses_no_event(server: RedisServer) -> None:
    async def fault(running: list[RedisNode], books: Books) -> None:
        for _ in range(3):
            assert server.call("CLIENT", "KILL", "TYPE", "pubsub") == 2
            for ready in (False, True):
                for node in running:
                    await node.becomes(ready=ready)
            await books.more(20)
        assert not books.failures

    assert under_load(server.url, fault) == [[], []]


@pytest.mark.usefixtures("patient")
def test_scripts_that_are_flushed_are_loaded_again(server: RedisServer) -> None:
    async def fault(running: list[RedisNode], books: Books) -> None:
        for _ in range(5):
            server.call("SCRIPT", "FLUSH")
            await books.more(5)
        assert not books.failures

    assert under_load(server.url, fault) == [[], []]


def test_after_a_clock_jump_only_events_beyond_their_age_are_gone(server: RedisServer) -> None:
    async def fault(running: list[RedisNode], books: Books) -> None:
        for skew in (-3_000_000, 3_000_000, 0):
            running[0].skew = skew
            await books.more(20)

    assert under_load(server.url, fault) == [[], []]


def test_an_event_that_a_node_missed_arrives_although_no_other_follows(
    server: RedisServer,
) -> None:
    async def main() -> None:
        async with (
            Proxy(server.port) as proxy,
            nodes(f"redis://127.0.0.1:{proxy.port}", server.url) as (away, present),
        ):
            reader = await away.read()
            await present.publish("before")
            await async_eventually("the event before", lambda: reader.has("before"))
            proxy.stall()
            proxy.cut()
            await away.becomes(ready=False)
            await present.publish("missed")
            proxy.heal()
            await async_eventually("the event missed", lambda: reader.has("missed"))
            assert reader.reasons() == []

    asyncio.run(main())


@pytest.mark.parametrize("what", ["cut", "half_close"])
def test_connections_that_break_are_made_again(server: RedisServer, what: str) -> None:
    async def main() -> None:
        async with (
            Proxy(server.port) as proxy,
            nodes(f"redis://127.0.0.1:{proxy.port}", server.url) as running,
        ):
            books = Books()
            async with books.loading(running):
                for _ in range(3):
                    await books.more(20)
                    getattr(proxy, what)()
                await books.more()
            await books.close(running)
            assert books.faults(running) == CLEAN
            assert told(running) == [[], []]

    asyncio.run(main())


def test_a_stalled_network_is_noticed_within_seconds_and_no_event_is_lost(
    server: RedisServer,
) -> None:
    async def main() -> None:
        async with (
            Proxy(server.port) as proxy,
            nodes(f"redis://127.0.0.1:{proxy.port}", server.url) as running,
        ):
            books = Books()
            async with books.loading(running):
                await books.more()
                proxy.stall()
                async with asyncio.timeout(NOTICED_SECONDS):
                    await running[0].becomes(ready=False)
                proxy.heal()
                await running[0].becomes(ready=True)
                await books.more()
            await books.close(running)
            assert books.faults(running) == CLEAN
            assert told(running) == [[], []]

    asyncio.run(main())


def test_a_node_that_gets_no_cpu_time_for_a_while_keeps_its_broker_connection(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard, "ANSWER_SECONDS", 1.0)

    async def main() -> None:
        async with nodes(server.url) as (node,):
            await node.becomes(ready=True)
            (only,) = node.broker._shards
            link = only.commands
            assert link is not None
            call, loop, stalls = link.call, asyncio.get_running_loop(), []

            def stalling(*words: Any) -> Any:
                if words == ("HELLO",):
                    stalls.append(loop.call_later(0, time.sleep, 2))
                return call(*words)

            monkeypatch.setattr(link, "call", stalling)
            await async_eventually("three stalls", lambda: len(stalls) == 3)
            assert only.commands is link

    asyncio.run(main())


def test_a_stopped_broker_is_noticed_within_seconds(own_server: RedisServer) -> None:
    async def fault(running: list[RedisNode], books: Books) -> None:
        own_server.send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(NOTICED_SECONDS):
                for node in running:
                    await node.becomes(ready=False)
        finally:
            own_server.send_signal(signal.SIGCONT)
        for node in running:
            await node.becomes(ready=True)

    assert under_load(own_server.url, fault) == [[], []]


def test_a_server_that_is_no_longer_a_master_is_noticed(own_server: RedisServer) -> None:
    async def fault(running: list[RedisNode], books: Books) -> None:
        own_server.call("REPLICAOF", "127.0.0.1", 1)  # without replicas it keeps its data
        async with asyncio.timeout(NOTICED_SECONDS):
            for node in running:
                await node.becomes(ready=False)
        own_server.call("REPLICAOF", "NO", "ONE")
        for node in running:
            await node.becomes(ready=True)

    assert under_load(own_server.url, fault) == [[], []]


def test_a_durable_restart_costs_nobody_a_gap(own_server: RedisServer) -> None:
    async def fault(running: list[RedisNode], books: Books) -> None:
        own_server.kill()
        async with asyncio.timeout(NOTICED_SECONDS):
            await running[0].becomes(ready=False)
        await asyncio.to_thread(own_server.start)
        for node in running:
            await node.becomes(ready=True)

    assert under_load(own_server.url, fault) == [[], []]


def test_a_broker_that_restarts_without_data_causes_a_reset_gap(tmp_path: Path) -> None:
    async def fault(running: list[RedisNode], books: Books) -> None:
        redis.kill()
        await asyncio.to_thread(redis.start)
        for node in running:
            await node.becomes(ready=True)

    with RedisServer(tmp_path) as redis:
        assert under_load(redis.url, fault) == [["reset"], ["reset"]]


def test_readers_get_a_gap_for_events_that_a_failover_lost_and_offsets_are_not_reused(
    server: RedisServer,
) -> None:
    async def main() -> None:
        async with nodes(server.url) as (node,):
            kept = await node.publish("1", "2")
            keys = [
                key
                for key in server.call("KEYS", "*{chat.a}*")
                if node.broker._names._prefix.encode() in key
            ]
            copy = {key: server.call("DUMP", key) for key in keys}
            lost = await node.publish("3", "4")
            for key, value in copy.items():
                server.call("RESTORE", key, 0, value, "REPLACE")
            server.call("HSET", node.broker._names.metadata("chat.a"), "lineage", "another server")

            assert (await node.broker.history("chat.a", position(lost[1]), 10)).lost == "reset", (
                "beyond the end"
            )
            (new,) = await node.publish("5")
            assert position(new).offset > position(lost[1]).offset
            for id_ in lost:
                piece = await node.broker.history("chat.a", position(id_), 10)
                assert (
                    piece.lost,
                    str(piece.start),
                    [str(event.position) for event in piece.events],
                ) == ("reset", kept[1], [new])
            for id_ in kept:
                piece = await node.broker.history("chat.a", position(id_), 10)
                assert (piece.lost, piece.start, piece.events[-1].previous) == (
                    None,
                    position(id_),
                    position(kept[1]).offset,
                )

    asyncio.run(main())


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
    monkeypatch.setattr(broker, "KEEP_SECONDS", 0)
    monkeypatch.setattr(broker, "REFRESH_SECONDS", 0.01)

    async def main() -> None:
        async with nodes(server.url) as (node,):
            reader = await node.read()
            metadata = node.broker._names.metadata(CHANNEL)
            await async_eventually("the metadata", lambda: server.call("EXISTS", metadata) == 1)
            assert server.call("PTTL", metadata) > 86_400_000
            begun = (await node.broker.history(CHANNEL, Earliest(), 10)).end
            months = begun._replace(offset=begun.offset - 500 * STEP)
            server.call("HSET", metadata, "base", months.offset)  # it has been kept for so long
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


def test_it_starts_without_redis_says_why_and_turns_ready(tmp_path: Path) -> None:
    async def main() -> None:
        url = redis.url.replace("redis://", "redis://user:hush@")
        async with nodes(url, timeout=3) as (node,):
            before = time.monotonic()
            with pytest.raises(BrokerUnavailable, match="the event is not stored") as error:
                await node.publish("1")
            assert time.monotonic() - before < 20
            assert "cannot connect" in (node.broker.unready() or "")
            assert "hush" not in f"{node.broker.unready()} {error.value.message}"
            await asyncio.to_thread(redis.start)
            assert redis.call("ACL", "SETUSER", "user", "on", ">hush", "~*", "&*", "+@all") == b"OK"
            await node.becomes(ready=True)
            assert await texts(node) == [], "what was given up is not stored later"

    redis = RedisServer(tmp_path)
    try:
        asyncio.run(main())
    finally:
        redis.kill()


def test_a_cancelled_publish_disturbs_no_other(server: RedisServer) -> None:
    async def main() -> None:
        async with nodes(server.url) as (node,):
            await node.becomes(ready=True)
            tasks = [asyncio.create_task(node.publish(str(number))) for number in range(20)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(result, list) for result in results[1::2])
            assert {str(number) for number in range(1, 20, 2)} <= set(await texts(node))

    asyncio.run(main())


@pytest.mark.parametrize("how", ["killed", "demoted"])
def test_after_a_failover_by_sentinels_readers_get_a_gap_for_lost_events(
    tmp_path: Path, how: str
) -> None:
    async def main() -> None:
        async with nodes(url, url) as running:
            for node in running:
                await node.becomes(ready=True)
            books = Books()
            async with books.loading(running):
                await books.more()
                if how == "killed":
                    master.call(
                        "ACL", "SETUSER", "default", "-psync", "-sync"
                    )  # the replica stays behind
                    master.call("CLIENT", "KILL", "TYPE", "replica")
                    await books.more(20)
                    await asyncio.to_thread(master.kill)
                    for node in running:
                        await node.becomes(ready=False)
                else:
                    sentinels[0].call("SENTINEL", "FAILOVER", "it")
                    await asyncio.to_thread(
                        master.eventually,
                        "a master that follows another",
                        lambda: master.call("ROLE")[0],
                        lambda seen: seen == b"slave",
                    )
                for node in running:
                    await node.becomes(ready=True)
                await books.more()
            await books.close(running)
            assert books.faults(running) == CLEAN
            if how == "killed":
                assert books.gone(CHANNEL), "nothing was lost: this tests nothing"
                assert told(running) == [["reset"], ["reset"]]
            assert replica.call("ROLE")[0] == b"master"

    with ExitStack() as stack:
        master = stack.enter_context(RedisServer(tmp_path / "a", "--repl-diskless-sync-delay", 0))
        replica = stack.enter_context(
            RedisServer(tmp_path / "b", "--replicaof", f"127.0.0.1 {master.port}")
        )
        replica.follows()
        sentinels = [
            stack.enter_context(sentinel(tmp_path / f"s{number}", master)) for number in range(3)
        ]
        for each in sentinels:
            for others, count in (("SENTINELS", 2), ("REPLICAS", 1)):
                each.eventually(
                    f"{count} {others}",
                    partial(each.call, "SENTINEL", others, "it"),
                    lambda seen, count=count: len(seen) == count,  # type: ignore[misc]
                )
        url = f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in sentinels)}/it/0"
        asyncio.run(main())


def sentinel(directory: Path, master: RedisServer) -> RedisServer:
    config = f"""
        sentinel monitor it 127.0.0.1 {master.port} 2
        sentinel down-after-milliseconds it 2000
        sentinel failover-timeout it 3000
    """
    return RedisServer(directory, "--sentinel", config=config)


@pytest.mark.usefixtures("patient")
def test_readers_follow_a_hash_slot_that_moves(tmp_path: Path) -> None:
    async def move(source: RedisServer, target: RedisServer, slot: int) -> None:
        names = [node.call("CLUSTER", "MYID") for node in (source, target)]
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", names[0])
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", names[1])

        def some() -> list[bytes]:
            keys: list[bytes] = source.call("CLUSTER", "GETKEYSINSLOT", slot, 10)
            if keys:
                source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
            return keys

        await async_eventually("an empty slot", some, operator.not_)
        await async_eventually(
            "load that is redirected to the other",
            lambda: source.call("INFO", "errorstats"),
            lambda seen: b"errorstat_ASK" in seen,
        )
        for node in (target, source):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", names[1])

    async def main(servers: list[RedisServer]) -> None:
        url = servers[0].url.replace("redis://", "redis+cluster://")
        async with nodes(url, url) as running:
            slot = servers[0].call("CLUSTER", "KEYSLOT", "chat.a")
            owners = sorted(servers, key=lambda server: server.port != served_by(servers[0], slot))
            books = Books()
            async with books.loading(running):
                await books.more()
                await move(owners[0], owners[1], slot)
                await books.more()
                await move(owners[1], owners[2], slot)
                await books.more()
            await books.close(running)
            assert books.faults(running) == CLEAN
            assert not books.failures
            assert told(running) == [[], []]
            servers[2].kill()
            async with asyncio.timeout(NOTICED_SECONDS):
                await running[0].becomes(ready=False)

    with cluster(tmp_path) as servers:
        asyncio.run(main(servers))


@pytest.mark.parametrize("behind", [False, True])
def test_a_cluster_goes_on_when_a_master_is_killed_and_readers_get_a_gap_for_lost_events(
    tmp_path: Path, *, behind: bool
) -> None:
    async def main(servers: list[RedisServer]) -> None:
        url = f"redis+cluster://{','.join(f'127.0.0.1:{server.port}' for server in servers[:3])}"
        slot = servers[0].call("CLUSTER", "KEYSLOT", CHANNEL)
        number = [server.port for server in servers].index(served_by(servers[0], slot))
        master, replica = servers[number], servers[number + 3]
        async with nodes(url, url) as running:
            books = Books()
            async with books.loading(running):
                await books.more()
                if behind:
                    master.call("ACL", "SETUSER", "default", "-psync", "-sync")
                    master.call("CLIENT", "KILL", "TYPE", "replica")
                    await books.more(20)
                await asyncio.to_thread(master.kill)
                for node in running:
                    await node.becomes(ready=False)
                for node in running:
                    await node.becomes(ready=True)
                await books.more()
            await books.close(running)
            assert books.faults(running) == CLEAN
            assert served_by(replica, slot) == replica.port
            if behind:
                assert books.gone(CHANNEL), "nothing was lost: this tests nothing"
                assert told(running) == [["reset"], ["reset"]]

    with cluster(tmp_path, replicas=True) as servers:
        asyncio.run(main(servers))


def served_by(server: RedisServer, slot: int) -> int:
    found: int = next(
        port
        for first, last, (_, port, *_), *_ in server.call("CLUSTER", "SLOTS")
        if first <= slot <= last
    )
    return found


async def texts(node: RedisNode) -> list[str]:
    """The texts of the log."""
    return [text for _, text in await node.log(CHANNEL)]


def position(id_: str) -> Position:
    epoch, _, offset = id_.partition("-")
    return Position(epoch, int(offset))
