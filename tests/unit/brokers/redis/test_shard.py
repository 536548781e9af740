"""brokers/redis/shard.py: two connections to a master, each made again by itself."""

import asyncio

import pytest

from eventhub.brokers.redis.codec import SCRIPTS
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.listening import serving
from tests.unit.brokers.redis.server import BIRTHS, SILENCE, FakeRedis
from tests.unit.brokers.redis.started import running, working

pytestmark = pytest.mark.usefixtures("without_pauses")


@in_loop
async def test_both_connections_are_made_and_probed() -> None:
    async with serving(FakeRedis()) as server, running(server) as started:
        reason = started.shard.unavailable_reason()
        assert reason == f"{server.address}: commands: connecting"
        await started.works()
        assert started.shard.commands is not None
        assert len(server.connections) == 2
        loaded = [command[1:] for command in server.named("SCRIPT")]
        assert loaded == [[b"LOAD", script.text] for script in SCRIPTS]
        assert started.owner.changes == 2
        await async_eventually("three probes", lambda: started.probes >= 3)
        numbers = [int(command[2]) for command in server.named("PUBLISH")]
        assert numbers == list(range(1, len(numbers) + 1))
        assert {command[1] for command in server.named("PUBLISH")} == {b"p:probe:{0}:n"}
        assert len(server.named("SUBSCRIBE")) == 1
        assert len(server.named("HELLO")) == 2 + started.probes


@in_loop
async def test_at_its_end_both_connections_end() -> None:
    async with serving(FakeRedis()) as server:
        async with running(server) as started:
            await started.works()
            subscription = started.add()
            await subscription.established.wait()
        await async_eventually("no connection", lambda: not server.connections)
        assert (started.shard.commands, subscription.confirmed) == (None, False)


@in_loop
async def test_a_probe_follows_the_tag_of_the_shard() -> None:
    async with working() as started:
        started.shard.tag = "5"
        await async_eventually(
            "a probe there", lambda: started.server.named("PUBLISH")[-1][1] == b"p:probe:{5}:n"
        )
        topics = [command[1] for command in started.server.named("SUBSCRIBE")]
        assert topics == [b"p:probe:{0}:n", b"p:probe:{5}:n"]


@pytest.mark.parametrize("listening", [True, False])
@in_loop
async def test_a_connection_that_is_lost_is_made_again_and_the_other_goes_on(
    *, listening: bool
) -> None:
    async with working() as started:
        subscription = started.add()
        await subscription.established.wait()
        changes = started.owner.changes
        started.server.cut(listening=listening)
        connections = len(started.server.named("SCRIPT")), len(started.server.named("SUBSCRIBE"))
        await async_eventually(
            "another connection",
            lambda: (
                len(started.server.named("SCRIPT")) > connections[0]
                or len(started.server.named("SUBSCRIBE")) > connections[1]
            ),
        )
        await started.works()
        assert started.owner.changes >= changes + 2
        assert started.owner.doubts >= 1
        await async_eventually("its confirmation", lambda: subscription.confirmed)
        assert started.owner.gaps == (["log.a"] if listening else [])


@in_loop
async def test_subscribing_again_after_a_lost_connection_is_a_gap() -> None:
    """An event that was announced between the connections is in history only."""
    async with working() as started:
        subscription = started.add()
        await subscription.established.wait()
        assert started.owner.gaps == []
        started.server.publish(b"t", b"1")
        await async_eventually("the event", lambda: started.taken == [b"1"])
        started.server.cut(listening=True)
        started.server.connections = [one for one in started.server.connections if not one.topics]
        assert started.server.publish(b"t", b"lost") == 0
        await async_eventually("the gap", lambda: started.owner.gaps == ["log.a"])
        started.server.publish(b"t", b"3")
        await async_eventually("the event", lambda: started.taken == [b"1", b"3"])


@in_loop
async def test_a_subscription_that_the_server_did_not_take_is_requested_again() -> None:
    async with working() as started:
        started.server.answers["SUBSCRIBE"] = lambda command: SILENCE
        subscription = started.add()
        await async_eventually("requests", lambda: len(started.server.named("SUBSCRIBE")) > 3)
        del started.server.answers["SUBSCRIBE"]
        async with asyncio.timeout(60):
            await subscription.established.wait()


@in_loop
async def test_each_connection_hears_of_births_and_tells_that_some_may_have_been_missed() -> None:
    async with working() as started:
        await async_eventually("the confirmation", lambda: started.owner.unsure == 1)
        started.server.publish(BIRTHS, b"log.new")
        await async_eventually(
            "the birth", lambda: started.owner.births == [("log.new", started.server.address)]
        )
        started.server.cut(listening=True)
        await async_eventually("another confirmation", lambda: started.owner.unsure == 2)
        started.server.publish(BIRTHS, b"log.other")
        await async_eventually("a birth", lambda: started.owner.births[1:])
        assert started.owner.gaps == []
