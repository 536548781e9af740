"""The Redis broker with real faults: an acknowledged event arrives, or its readers get a gap."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from eventhub.brokers.redis import shard
from eventhub.errors import BrokerUnavailable
from tests.harness.eventually import async_eventually
from tests.harness.proxy import Proxy
from tests.harness.redis_servers import RedisServer
from tests.integration.checker import CLEAN, Books
from tests.integration.redis_nodes import RedisNode, nodes
from tests.integration.redis_server import (  # noqa: F401
    NOTICED_SECONDS,
    patient_fixture,
    server_fixture,
    texts,
    told,
)


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
