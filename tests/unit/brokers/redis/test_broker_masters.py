"""brokers/redis/broker.py: refusals, redirects, changed masters, and metadata that are kept."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from eventhub.brokers.redis import metadata
from eventhub.brokers.redis.codec import DAY, SCRIPTS
from eventhub.brokers.redis.link import ignore
from eventhub.brokers.redis.subscriptions import ShardSubscription
from eventhub.events.event import Earliest
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.listening import serving
from tests.unit.brokers.redis.brokers import Node, ended, node
from tests.unit.brokers.redis.server import SILENCE, Failure, FakeRedis

pytestmark = pytest.mark.usefixtures("without_pauses")


@in_loop
async def test_reading_is_tried_again_over_the_next_connection() -> None:
    async with node() as each:
        cuts = [1, 2]

        def cut_twice(command: Any) -> object:
            if cuts:
                cuts.pop()
                each.server.cut(listening=False)
                return SILENCE
            return [b"e", 7, 7, b""]

        each.server.answers["EVALSHA"] = cut_twice
        async with asyncio.timeout(60):
            assert (await each.broker.history("log.a", Earliest(), 1)).end.offset == 7
        assert each.reads() == 3


@pytest.mark.parametrize("code", ["LOADING", "CLUSTERDOWN", "NOSCRIPT", "MOVED 1 h:1", "READONLY"])
@in_loop
async def test_reading_is_tried_again_after_a_refusal_that_passes(code: str) -> None:
    async with node() as each:
        refusals = [code]

        def refuse_once(command: Any) -> object:
            return Failure(refusals.pop()) if refusals else [b"e", 7, 7, b""]

        scripts = len(each.server.named("SCRIPT"))
        each.server.answers["EVALSHA"] = refuse_once
        async with asyncio.timeout(60):
            assert (await each.broker.history("log.a", Earliest(), 1)).end.offset == 7
        loaded = len(each.server.named("SCRIPT")) - scripts
        assert loaded == (len(SCRIPTS) if code in ("NOSCRIPT", "READONLY") else 0)
        logins = len(each.server.named("SUBSCRIBE"))
        await each.ready()
        assert logins >= 2 if code == "READONLY" else logins >= 1


@in_loop
async def test_any_other_refusal_is_told() -> None:
    async with node() as each:
        each.server.answers["EVALSHA"] = lambda command: Failure("WRONGTYPE hush")
        error = await ended(each.broker.history("log.a", Earliest(), 1))
        assert str(error) == "Redis answered WRONGTYPE"


@in_loop
async def test_a_redirect_is_asked_with_asking_and_only_once() -> None:
    async with AsyncExitStack() as stack:
        own, other = [await stack.enter_async_context(serving(FakeRedis())) for _ in range(2)]
        slots = [
            [0, 16382, [b"", own.port, b"id"]],
            [16383, 16383, [b"127.0.0.1", other.port, b"id"]],
        ]
        for server in (own, other):
            server.answers["CLUSTER"] = lambda command: slots
        each = Node(own, "redis+cluster")
        refusals = [f"ASK 5 127.0.0.1:{other.port}"]
        own.answers["EVALSHA"] = lambda command: (
            Failure(refusals.pop()) if refusals else [b"e", 1, 1, b""]
        )
        other.answers["EVALSHA"] = lambda command: [b"e", 2, 2, b""]
        async with each.running():
            await each.ready()
            assert (await each.broker.history("log.a", Earliest(), 1)).end.offset == 2
            names = [command[0] for command in other.commands]
            assert names[names.index(b"ASKING") + 1] == b"EVALSHA"
            assert (await each.broker.history("log.a", Earliest(), 1)).end.offset == 1
            refusals.append("ASK 5 127.0.0.1:1")
            assert (await each.broker.history("log.a", Earliest(), 1)).end.offset == 1
            assert own.named("ASKING") == []


@in_loop
async def test_when_masters_may_have_changed_another_node_of_the_cluster_is_asked() -> None:
    async with node("redis+cluster") as each:
        assert each.server.named("SSUBSCRIBE")
        assert not each.server.named("SUBSCRIBE")
        asked = len(each.server.named("CLUSTER"))
        each.broker.masters_may_have_changed()
        await async_eventually("a question", lambda: len(each.server.named("CLUSTER")) > asked)
        await async_eventually("no doubt", lambda: not each.broker._in_doubt.is_set())


@in_loop
async def test_an_answer_about_the_masters_that_makes_no_sense_is_told_and_asked_again() -> None:
    async with node("redis+cluster") as each:
        good = each.server.answers["CLUSTER"]
        each.server.answers["CLUSTER"] = lambda command: [7]
        await each.says("the answer about the masters cannot be processed: TypeError")
        each.server.answers["CLUSTER"] = lambda command: Failure("CLUSTERDOWN")
        await each.says("no node of the cluster names the masters")
        each.server.answers["CLUSTER"] = good
        await each.ready()


@in_loop
async def test_metadata_of_subscribed_channels_are_refreshed_and_a_fault_of_one_costs_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metadata, "REFRESH_SECONDS", 0.001)
    monkeypatch.setattr(metadata, "REFRESH_CHANNELS", 1)
    async with node() as each:
        for channel in ("log.a", "log.b"):
            await each.broker.subscribe(channel)
        subscription = each.broker._wanted["log.a"]
        bad = ShardSubscription("bad.a", b"t", ignore)
        wanted = dict(each.broker._wanted)
        each.broker._wanted.clear()
        each.broker._wanted.update({"bad.a": bad, **wanted})
        asked = len(each.server.named("EVALSHA"))
        subscription.began_at -= metadata.KEEP_SECONDS
        await async_eventually("refreshes", lambda: len(each.server.named("EVALSHA")) > asked + 6)
        last = {command[3]: command for command in each.server.named("EVALSHA")[asked:]}
        assert set(last) == {b"p:meta:{log.a}", b"p:meta:{log.b}"}
        kept = {name: command[-1] for name, command in last.items()}
        assert kept == {b"p:meta:{log.a}": b"keep", b"p:meta:{log.b}": b""}
        assert {command[-2] for command in last.values()} == {b"%d" % DAY}
        assert {command[9] for command in last.values()} == {b"0"}, "no events are read"


@in_loop
async def test_while_there_is_no_connection_nothing_is_refreshed() -> None:
    server = FakeRedis()
    async with serving(server):
        each = Node(server)
        each.broker._keep("log.a", keep=True)
        assert server.commands == []


@in_loop
async def test_at_its_end_every_connection_is_closed() -> None:
    async with node("redis+cluster") as each:
        assert len(each.server.connections) == 3
        each.task.cancel()
        await asyncio.gather(each.task, return_exceptions=True)
        assert each.task.cancelled()
        await async_eventually("no connection", lambda: not each.server.connections)
        assert each.broker.link("log.a") is None


@in_loop
async def test_a_lost_connection_is_a_gap_of_the_channels_that_are_subscribed() -> None:
    async with node() as each:
        await each.broker.subscribe("log.a")
        each.server.cut(listening=True)
        await async_eventually("the gap", lambda: "log.a" in each.gaps)
