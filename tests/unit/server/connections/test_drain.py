"""server/connections/drain.py: how a node sends its clients away."""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from eventhub.config.sections import ShutdownSettings
from eventhub.errors import ShuttingDown
from eventhub.hub.cluster import Cluster
from eventhub.server.connections.drain_pace import MARGIN_SECONDS, RETURN_PACE
from tests.harness.virtual_time import in_virtual_time
from tests.unit.server.connections.manager_builder import OpenConnection, build, drain, run


def test_a_drain_says_goodbye_to_all_with_different_delays() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(grace=10, reconnect_within=4))
        connections = [OpenConnection(manager) for _ in range(510)]
        await drain(manager)
        assert manager.hub.draining
        assert all(len(connection.goodbyes) == 1 for connection in connections)
        moments = [error.retry_after for connection in connections for error in connection.goodbyes]
        assert all(0 < moment <= 4 for moment in moments)
        assert max(Counter(moments).values()) == 1
        assert {error.code for connection in connections for error in connection.goodbyes} == {
            "shutting_down"
        }

    run(scenario)


def test_a_drain_refuses_new_connections_and_publishing_only_after_close() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(reconnect_within=4))
        await drain(manager)
        with pytest.raises(ShuttingDown) as caught:
            OpenConnection(manager)
        assert 0 < caught.value.retry_after <= 4
        assert not manager.hub.closing
        manager.drain.close()
        assert manager.hub.closing

    run(scenario)


def test_after_the_end_of_the_hub_all_are_sent_away_at_once() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(spread=3600))
        manager.hub._tasks.ended = True
        connections = [OpenConnection(manager) for _ in range(5000)]
        await drain(manager)
        assert all(connection.goodbyes for connection in connections)

    run(scenario)


def test_a_connection_that_closes_before_its_turn_gets_no_goodbye() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(spread=0.2))
        connections = [OpenConnection(manager) for _ in range(30)]
        draining = asyncio.create_task(drain(manager))
        await asyncio.sleep(0)
        left = [connection for connection in connections if not connection.goodbyes][:5]
        for connection in left:
            manager.closed(connection)
        await draining
        assert len(left) == 5
        assert not any(connection.goodbyes for connection in left)
        assert sum(len(connection.goodbyes) for connection in connections) == 25

    run(scenario)


def test_a_goodbye_that_fails_does_not_stop_the_others() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(spread=0, grace=0.01))
        broken, other = OpenConnection(manager), OpenConnection(manager)
        broken.told = None  # type: ignore[assignment]  # telling it raises
        await drain(manager)
        assert len(other.goodbyes) == 1
        assert broken.aborted

    run(scenario)


def test_a_drain_without_connections_ends_at_once() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(grace=3600))
        await drain(manager)
        assert manager.hub.draining

    run(scenario)


def test_a_drain_waits_for_flushes() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(grace=3600))
        slow = OpenConnection(manager)
        slow.leaves = False
        draining = asyncio.create_task(drain(manager))
        await slow.told.wait()
        assert not draining.done()
        manager.closed(slow)
        await draining

    run(scenario)


def test_a_drain_ends_after_the_grace_period() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(grace=0.01))
        stuck = OpenConnection(manager)
        stuck.leaves = False
        await drain(manager)
        assert len(stuck.goodbyes) == 1
        assert stuck.aborted, "who stays is cut off"

    run(scenario)


@pytest.mark.parametrize(
    ("others", "workers", "alone"),
    [(0, 1, True), (1, 1, False), (1, 2, True), (2, 2, False), (0, 2, True)],
)
def test_a_node_is_alone_if_all_known_nodes_stop_with_it(
    monkeypatch: pytest.MonkeyPatch, others: int, workers: int, *, alone: bool
) -> None:
    manager = build()
    monkeypatch.setattr(Cluster, "others", {f"node{number}" for number in range(others)})
    manager.drain.begin(workers)
    assert manager.drain.alone is alone
    assert manager.drain.refusing is not alone


def test_a_node_alone_accepts_connections_and_sends_them_away_with_the_others() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(spread=3600))
        early = OpenConnection(manager)
        manager.drain.begin()
        assert manager.unready()["server"] == "about to stop"
        late = OpenConnection(manager)
        await manager.drain.run()
        assert [len(connection.goodbyes) for connection in (early, late)] == [1, 1]
        behind = OpenConnection(manager)
        await behind.told.wait()
        assert len(behind.goodbyes) == 1

    run(scenario)


def test_clients_of_a_node_alone_come_back_evenly_after_its_restart() -> None:
    async def scenario() -> None:
        manager = build()
        manager.drain.start_seconds = 0.8
        connections = [OpenConnection(manager) for _ in range(2000)]
        manager.drain.begin()
        await manager.drain.run()
        moments = [error.retry_after for connection in connections for error in connection.goodbyes]
        assert moments != sorted(moments), "in no order that groups of clients have"
        moments.sort()
        assert moments[0] >= 0.8 + MARGIN_SECONDS
        assert all(later - earlier <= 2 / RETURN_PACE for earlier, later in pairwise(moments))
        assert moments[-1] - moments[0] == pytest.approx(2000 / RETURN_PACE, rel=0.01)

    run(scenario)


def test_a_node_alone_waits_only_briefly_for_flushes() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(grace=3600))
        stuck = OpenConnection(manager)
        stuck.leaves = False
        manager.drain.begin()
        await manager.drain.run()
        assert stuck.aborted

    run(scenario)


@in_virtual_time
async def test_a_drain_ends_when_the_last_connection_has_flushed() -> None:
    manager = build(shutdown=ShutdownSettings(spread=0, grace=100))
    OpenConnection(manager)
    manager.closed(next(iter(manager._connections)))  # one that came and went before
    slow, slower = OpenConnection(manager), OpenConnection(manager)
    slow.leaves = slower.leaves = False
    begin = asyncio.get_running_loop().time()
    draining = asyncio.create_task(drain(manager))
    await asyncio.sleep(5)
    manager.closed(slow)
    await asyncio.sleep(5)
    assert not draining.done()
    manager.closed(slower)
    await draining
    assert asyncio.get_running_loop().time() - begin == 10
    assert (slow.aborted, slower.aborted) == (False, False)
