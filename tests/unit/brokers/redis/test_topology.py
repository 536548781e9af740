"""brokers/redis/topology.py: who is asked for the masters, and whom to believe."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from eventhub.brokers.redis import topology as topology_module
from eventhub.brokers.redis.codec import SLOTS
from eventhub.brokers.redis.topology import Master, NoMaster, Topology, topology
from eventhub.brokers.redis.url import ServerAddress, parse
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.listening import serving
from tests.unit.brokers.redis.server import SILENCE, Failure, FakeRedis

ALL = (range(SLOTS),)


async def servers(stack: AsyncExitStack, count: int) -> list[FakeRedis]:
    return [await stack.enter_async_context(serving(FakeRedis())) for _ in range(count)]


def of(scheme: str, found: list[FakeRedis], path: str = "", user: str = "") -> Topology:
    hosts = ",".join(str(server.address) for server in found)
    return topology(parse(f"{scheme}://{user}{hosts}{path}"))


def naming(epoch: int, port: int) -> Callable[[Any], object]:
    """A sentinel's answer about the master."""
    state = {b"ip": b"10.0.0.1", b"port": b"%d" % port, b"config-epoch": b"%d" % epoch}
    return lambda command: state


def cluster(*slots: object) -> Callable[[Any], object]:
    """A node's answer about slots."""
    return lambda command: list(slots)


@in_loop
async def test_a_single_server_is_not_asked() -> None:
    found = topology(parse("redis://h:7"))
    for in_doubt in (False, True):
        assert await found.masters(in_doubt=in_doubt) == (Master(ServerAddress("h", 7), ALL),)
    found.close()


@in_loop
async def test_the_sentinel_with_the_newest_configuration_is_believed() -> None:
    async with AsyncExitStack() as stack:
        one, two, three = asked = await servers(stack, 3)
        one.answers["SENTINEL"] = naming(9, 1)
        two.answers["SENTINEL"] = naming(10, 2)
        three.answers["SENTINEL"] = lambda command: Failure("ERR No such master")
        sentinels = of("redis+sentinel", asked, "/mine?sentinel_password=pw", "ana:hush@")
        address = ServerAddress("10.0.0.1", 2)
        assert await sentinels.masters(in_doubt=False) == (Master(address, ALL),)
        assert one.named("SENTINEL") == [[b"SENTINEL", b"MASTER", b"mine"]]
        assert one.named("HELLO")[0][2:5] == [b"AUTH", b"default", b"pw"]
        two.cut()
        await async_eventually("its end", lambda: not two.connections)
        for _ in range(2):  # the first may find that the connection has ended
            await sentinels.masters(in_doubt=False)
        assert [len(server.named("HELLO")) for server in asked] == [1, 2, 1], (
            "one connection for all questions"
        )
        sentinels.close()
        await async_eventually("no connection", lambda: not any(one.connections for one in asked))


@in_loop
async def test_when_no_sentinel_names_the_master_the_reason_of_the_first_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topology_module, "ASK_SECONDS", 0.05)
    async with AsyncExitStack() as stack:
        one, two = asked = await servers(stack, 2)
        one.answers["SENTINEL"] = lambda command: SILENCE
        two.answers["SENTINEL"] = lambda command: Failure("ERR No such master")
        sentinels = of("redis+sentinel", asked, "/mine")
        with pytest.raises(NoMaster, match=f"'mine': {one.address}: no answer in time"):
            await sentinels.masters(in_doubt=False)
        await async_eventually("the end of the silent one", lambda: not one.connections)
        monkeypatch.setattr(topology_module, "ASK_SECONDS", 30)
        one.answers["SENTINEL"] = naming(1, 1)
        assert len(await sentinels.masters(in_doubt=False)) == 1
        sentinels.close()


@in_loop
async def test_masters_of_a_cluster_and_their_slots() -> None:
    async with AsyncExitStack() as stack:
        (node,) = asked = await servers(stack, 1)
        node.answers["CLUSTER"] = cluster(
            [0, 99, [b"10.0.0.1", 1, b"id"], [b"10.0.0.9", 9, b"replica"]],
            [100, 16383, [b"", node.port, b"id"]],
            [50, 50, [b"10.0.0.1", 1, b"id"]],
        )
        masters = of("redis+cluster", asked)
        assert await masters.masters(in_doubt=False) == [
            Master(ServerAddress("10.0.0.1", 1), [range(100), range(50, 51)]),
            Master(node.address, [range(100, 16384)]),
        ]
        assert node.named("CLUSTER") == [[b"CLUSTER", b"SLOTS"]]
        masters.close()


@in_loop
async def test_the_node_that_answered_is_asked_again_and_in_doubt_another_one() -> None:
    async with AsyncExitStack() as stack:
        one, two = asked = await servers(stack, 2)
        for number, node in enumerate(asked):
            node.answers["CLUSTER"] = cluster([number, 9, [b"", node.port, b"id"]])
        masters = of("redis+cluster", asked)
        seen = [
            (await masters.masters(in_doubt=in_doubt))[0].address
            for in_doubt in (False, False, True, False, True)
        ]
        assert seen == [one.address, one.address, two.address, two.address, one.address]
        masters.close()


@in_loop
async def test_a_node_that_fails_or_knows_no_masters_is_passed_over() -> None:
    async with AsyncExitStack() as stack:
        one, two, three = asked = await servers(stack, 3)
        one.answers["CLUSTER"] = lambda command: Failure("CLUSTERDOWN")
        two.answers["CLUSTER"] = cluster()
        three.answers["CLUSTER"] = cluster([0, 9, [b"", three.port, b"id"]])
        masters = of("redis+cluster", asked)
        assert (await masters.masters(in_doubt=False))[0].address == three.address
        await masters.masters(in_doubt=False)
        counts = [len(node.named("CLUSTER")) for node in asked]
        assert counts == [1, 2, 2], "the one that failed is asked last"
        three.answers["CLUSTER"] = lambda command: Failure("LOADING")
        with pytest.raises(NoMaster, match="no node of the cluster names the masters"):
            await masters.masters(in_doubt=False)
        masters.close()


@in_loop
async def test_nodes_that_join_are_asked_and_those_that_left_are_not() -> None:
    async with AsyncExitStack() as stack:
        seed, joined = await servers(stack, 2)
        host = b"127.0.0.1"
        seed.answers["CLUSTER"] = cluster([0, 9, [host, joined.port, b"id"]])
        joined.answers["CLUSTER"] = cluster([0, 9, [host, joined.port, b"id"]])
        masters = of("redis+cluster", [seed])
        await masters.masters(in_doubt=False)
        await masters.masters(in_doubt=True)
        assert len(joined.named("CLUSTER")) == 1
        joined.answers["CLUSTER"] = cluster([0, 9, [host, seed.port, b"id"]])
        await masters.masters(in_doubt=False)
        await async_eventually("no connection to it", lambda: not joined.connections)
        seed.answers["CLUSTER"] = cluster([0, 9, [host, seed.port, b"id"]])
        await masters.masters(in_doubt=True)
        assert len(seed.named("CLUSTER")) == 2
        masters.close()
        await async_eventually("no connection", lambda: not seed.connections)


@in_loop
async def test_a_question_that_is_cancelled_keeps_nobody_waiting() -> None:
    async with AsyncExitStack() as stack:
        (node,) = await servers(stack, 1)
        node.answers["CLUSTER"] = lambda command: SILENCE
        masters = of("redis+cluster", [node])
        asking = asyncio.create_task(masters.masters(in_doubt=False))
        await async_eventually("the question", lambda: node.named("CLUSTER"))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        masters.close()
        await async_eventually("no connection", lambda: not node.connections)
