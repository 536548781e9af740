"""The Redis broker when a replica takes over, or a hash slot moves."""

import asyncio
import operator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.harness.eventually import async_eventually
from tests.harness.redis_servers import RedisServer, cluster
from tests.integration.checker import CLEAN, Books
from tests.integration.redis_nodes import CHANNEL, nodes
from tests.integration.redis_server import (  # noqa: F401
    NOTICED_SECONDS,
    patient_fixture,
    position,
    server_fixture,
    told,
)


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
