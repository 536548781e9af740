"""server/connections/manager.py: heartbeats and the goodbye to all."""

import asyncio
import resource
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from eventhub.auth.blocks import BlockDecision, BlockTarget
from eventhub.brokers.memory import MemoryBroker
from eventhub.config.limit_settings import LimitSettings
from eventhub.config.loader import channel_types
from eventhub.config.sections import ShutdownSettings
from eventhub.config.settings import Settings
from eventhub.errors import EventHubError, Internal, ShuttingDown
from eventhub.hub.cluster import Cluster
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from eventhub.server.connections.connection import TRANSPORTS
from eventhub.server.connections.drain_pace import MARGIN_SECONDS, RETURN_PACE
from eventhub.server.connections.limit_errors import too_large
from eventhub.server.connections.manager import BEATS, READ_SLICE, ConnectionManager
from eventhub.server.security.authentication import Authentication
from eventhub.server.websocket.handshake import SUBPROTOCOL, WEBSOCKET_PATH
from eventhub.session.interfaces import SessionLimits
from tests.builders import Nowhere

thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def build(**fields: Any) -> ConnectionManager:
    """A gateway over a real hub, on default settings but for `fields`."""
    configured = Settings(**fields)
    types = channel_types(configured, Path())
    metrics = Metrics(kind.name for kind in types)
    hub = Hub(
        types, MemoryBroker(lambda channel: types.resolve(channel).retention, Hub.now), metrics
    )
    return ConnectionManager(configured, hub, Authentication(configured.auth, Path(), Hub.now))


async def drain(manager: ConnectionManager) -> None:
    """As a node among others does."""
    manager.drain.begin(0)
    await manager.drain.run()


def test_a_decision_that_cannot_be_sent_does_not_end_the_replication() -> None:
    replication = build().operators.block_replication
    replication._blocks.merge(
        [BlockDecision(BlockTarget("key", "ana"), 0, 10**300, blocked=True)]
    )  # no JSON can be made of it
    asyncio.run(replication._repeat({"n2"}))


# Connections


class Open:
    """An open connection that notes what it is told."""

    why = "told to"

    def __init__(
        self,
        manager: ConnectionManager,
        transport: str = "websocket",
        size: int = 0,
        on_beat: Callable[[], None] | None = None,
    ) -> None:
        self.transport = transport
        self.size = size
        self.beats = 0
        self.goodbyes: list[ShuttingDown] = []
        self.on_beat = on_beat
        self.manager = manager
        self.leaves = True
        self.told = asyncio.Event()
        self.aborted = False
        manager.opened(
            self, manager.registry.new_identity(manager.authentication.nobody, "192.0.2.1")
        )

    def fail(self, error: EventHubError) -> None:
        self.failed = error

    def abort(self) -> None:
        self.aborted = True

    def buffered(self) -> int:
        return self.size

    def beat(self) -> None:
        self.beats += 1
        if self.on_beat is not None:
            self.on_beat()

    def goodbye(self, error: ShuttingDown) -> None:
        self.goodbyes.append(error)
        self.told.set()
        if self.leaves:
            self.manager.closed(self)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(main())


Values = dict[tuple[str, ...], float]


async def read(manager: ConnectionManager) -> dict[str, Values]:
    """Values by label values, by name."""
    return {name: dict(values) async for name, _, values, _ in manager.readings()}


def test_connections_and_bytes_are_counted_by_transport_zero_included() -> None:
    manager = build()
    Open(manager, "websocket", 10)
    Open(manager, "websocket", 5)
    gone = Open(manager, "sse", 7)
    Open(manager, "ndjson", 1)
    manager.closed(gone)
    manager.closed(gone)
    found = asyncio.run(read(manager))
    assert found["eventhub_connections"] == {
        ("websocket",): 2,
        ("sse",): 0,
        ("ndjson",): 1,
        ("producer",): 0,
    }
    assert found["eventhub_connections_opened_total"] == {
        ("websocket",): 2,
        ("sse",): 1,
        ("ndjson",): 1,
        ("producer",): 0,
    }
    assert found["eventhub_buffered_bytes"] == {
        ("websocket",): 15,
        ("sse",): 0,
        ("ndjson",): 1,
        ("producer",): 0,
    }
    assert TRANSPORTS == ("websocket", "sse", "ndjson", "producer")


def test_the_limit_of_connections_is_the_one_that_holds() -> None:
    assert asyncio.run(read(build(limits=LimitSettings(connections=100))))[
        "eventhub_connections_limit"
    ] == {(): 100}
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = asyncio.run(read(build(limits=LimitSettings(connections=10**9))))[
        "eventhub_connections_limit"
    ][()]
    assert files * 3 / 4 <= most < files


def test_readiness_is_what_readyz_says() -> None:
    manager = build()

    async def scenario() -> None:
        assert (await read(manager))["eventhub_ready"] == {(): False}, "the hub does not run"
        running = asyncio.create_task(manager.hub.run())
        await manager.hub.started.wait()
        assert (await read(manager))["eventhub_ready"] == {(): True}
        await drain(manager)
        assert (await read(manager))["eventhub_ready"] == {(): False}
        running.cancel()
        await asyncio.wait([running])

    run(scenario)


def test_a_scrape_looks_at_so_many_connections_a_turn() -> None:
    manager = build()
    turn = 0
    looks: list[int] = []

    class Counted(Open):
        def buffered(self) -> int:
            looks.append(turn)
            return 1

    for _ in range(2 * READ_SLICE + 1):
        Counted(manager, "websocket")

    async def scenario() -> None:
        nonlocal turn
        reading = asyncio.create_task(read(manager))
        while not reading.done():
            await asyncio.sleep(0)
            turn += 1
        assert reading.result()["eventhub_buffered_bytes"]["websocket",] == 2 * READ_SLICE + 1

    run(scenario)
    assert list(Counter(looks).values()) == [READ_SLICE, READ_SLICE, 1]


@pytest.mark.parametrize(
    ("auth", "anonymous", "expected"),
    [(False, [], 65536), (True, ["subscribe"], 1000), (True, ["publish"], 65536)],
    ids=["nobody is a stranger", "strangers listen", "strangers publish"],
)
def test_strangers_may_send_little_unless_they_may_publish(
    auth: bool,  # noqa: FBT001
    anonymous: list[str],
    expected: int,
) -> None:
    keys = [{"name": "a", "hash": "sha256:" + "0" * 64}] if auth else []
    manager = build(
        auth={"keys": keys},
        channels={"chat": {"anonymous": anonymous}},
        limits=LimitSettings(stranger_bytes=1000),
    )
    assert manager.session_limits.stranger_bytes == expected


def test_sessions_get_the_configured_limits_and_the_hub() -> None:
    manager = build(limits=LimitSettings(event_bytes=200, subscriptions=7, depth=9), heartbeat=3)
    assert manager.session_limits == SessionLimits(
        message_bytes=200, subscriptions=7, heartbeat=3, depth=9, stranger_bytes=200
    )
    written: list[bytes] = []

    class Writer(Nowhere):
        def write(self, data: bytes) -> None:
            written.append(data)

    session = manager.session(
        Writer(),
        lambda ref, event: None,
        manager.registry.new_identity(manager.authentication.nobody, ""),
    )
    session.receive(b'{"type":"subscribe","channel":"zzz"}')
    assert b'"unknown_channel"' in written[0]


def test_every_connection_is_beaten_once_a_heartbeat_but_for_those_that_left() -> None:
    turn = 0
    beats: list[int] = []

    async def scenario() -> None:
        nonlocal turn
        manager = build(heartbeat=0.05)
        first = Open(manager)
        others = [Open(manager, on_beat=lambda: beats.append(turn)) for _ in range(2 * BEATS)]
        leaver = Open(manager)
        first.on_beat = lambda: manager.closed(leaver)
        beating = asyncio.create_task(manager.send_heartbeats())
        while first.beats < 3:
            await asyncio.sleep(0)
            turn += 1
        beating.cancel()
        assert {connection.beats for connection in others} <= {2, 3}, "the third round has begun"
        assert leaver.beats == 0, "it left before its turn"

    run(scenario)
    assert max(Counter(beats).values()) <= BEATS, "others have their turn"


def test_heartbeats_go_on_without_connections_and_reach_those_that_come() -> None:
    async def scenario() -> None:
        manager = build(heartbeat=0.05)
        beating = asyncio.create_task(manager.send_heartbeats())
        await asyncio.sleep(0)
        reached = asyncio.Event()
        Open(manager, on_beat=reached.set)
        await reached.wait()
        beating.cancel()

    run(scenario)


def test_draining_says_goodbye_to_all_each_with_a_moment_of_its_own() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(grace=10, reconnect_within=4))
        connections = [Open(manager) for _ in range(510)]
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


def test_draining_takes_nobody_new_and_serves_on_until_it_is_closed() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(reconnect_within=4))
        await drain(manager)
        with pytest.raises(ShuttingDown) as caught:
            Open(manager)
        assert 0 < caught.value.retry_after <= 4
        assert not manager.hub.closing
        manager.drain.close()
        assert manager.hub.closing

    run(scenario)


def test_a_node_that_can_serve_nobody_any_more_sends_all_away_at_once() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(spread=3600))
        manager.hub._tasks.ended = True
        connections = [Open(manager) for _ in range(5000)]
        await drain(manager)
        assert all(connection.goodbyes for connection in connections)

    run(scenario)


def test_whose_connection_ends_before_its_turn_is_not_told() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(spread=0.2))
        connections = [Open(manager) for _ in range(30)]
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


def test_a_goodbye_that_fails_keeps_no_other_from_its_own() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(spread=0, grace=0.01))
        broken, other = Open(manager), Open(manager)
        broken.told = None  # type: ignore[assignment]  # telling it raises
        await drain(manager)
        assert len(other.goodbyes) == 1
        assert broken.aborted

    run(scenario)


def test_draining_without_connections_is_done_at_once() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(grace=3600))
        await drain(manager)
        assert manager.hub.draining

    run(scenario)


def test_draining_waits_for_those_that_still_flush() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(grace=3600))
        slow = Open(manager)
        slow.leaves = False
        draining = asyncio.create_task(drain(manager))
        await slow.told.wait()
        assert not draining.done()
        manager.closed(slow)
        await draining

    run(scenario)


def test_draining_ends_when_the_time_is_up() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(grace=0.01))
        stuck = Open(manager)
        stuck.leaves = False
        await drain(manager)
        assert len(stuck.goodbyes) == 1
        assert stuck.aborted, "who stays is cut off"

    run(scenario)


@pytest.mark.parametrize(
    ("others", "workers", "alone"),
    [(0, 1, True), (1, 1, False), (1, 2, True), (2, 2, False), (0, 2, True)],
)
def test_a_node_is_alone_when_all_that_it_knows_stop_with_it(
    monkeypatch: pytest.MonkeyPatch, others: int, workers: int, *, alone: bool
) -> None:
    manager = build()
    monkeypatch.setattr(Cluster, "others", {f"node{number}" for number in range(others)})
    manager.drain.begin(workers)
    assert manager.drain.alone is alone
    assert manager.drain.refusing is not alone


def test_who_is_alone_takes_newcomers_and_sends_them_away_with_the_others() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(spread=3600))
        early = Open(manager)
        manager.drain.begin()
        assert manager.unready()["server"] == "about to stop"
        late = Open(manager)
        await manager.drain.run()
        assert [len(connection.goodbyes) for connection in (early, late)] == [1, 1]
        behind = Open(manager)
        await behind.told.wait()
        assert len(behind.goodbyes) == 1

    run(scenario)


def test_who_leaves_together_comes_back_evenly_once_the_node_may_have_started_again() -> None:
    async def scenario() -> None:
        manager = build()
        manager.drain.start_seconds = 0.8
        connections = [Open(manager) for _ in range(2000)]
        manager.drain.begin()
        await manager.drain.run()
        moments = [error.retry_after for connection in connections for error in connection.goodbyes]
        assert moments != sorted(moments), "in no order that groups of clients have"
        moments.sort()
        assert moments[0] >= 0.8 + MARGIN_SECONDS
        assert all(later - earlier <= 2 / RETURN_PACE for earlier, later in pairwise(moments))
        assert moments[-1] - moments[0] == pytest.approx(2000 / RETURN_PACE, rel=0.01)

    run(scenario)


def test_who_is_alone_waits_but_a_moment_for_those_that_still_flush() -> None:
    async def scenario() -> None:
        manager = build(shutdown=ShutdownSettings(grace=3600))
        stuck = Open(manager)
        stuck.leaves = False
        manager.drain.begin()
        await manager.drain.run()
        assert stuck.aborted

    run(scenario)


def test_what_is_too_large_names_the_limit() -> None:
    error = too_large("the message is larger", "event_bytes", 65536)
    assert error.code == "payload_too_large"
    assert (
        error.message
        == "the message is larger; at most 65536 bytes are allowed (limits.event_bytes)"
    )


def test_the_paths_are_those_of_the_protocol() -> None:
    assert (WEBSOCKET_PATH, SUBPROTOCOL) == ("/v1/ws", "eventhub.v1")


def test_a_heartbeat_that_fails_ends_its_connection_and_costs_nobody_else_theirs() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        manager = build(heartbeat=0.05)
        again = asyncio.Event()
        bad = Open(manager, on_beat=broken)
        good = Open(manager, on_beat=lambda: again.set() if good.beats == 2 else None)
        beating = asyncio.create_task(manager.send_heartbeats())
        await again.wait()
        beating.cancel()
        assert isinstance(bad.failed, Internal)
        assert not hasattr(good, "failed")
        assert manager.hub.faults.counts["heartbeat"] >= 1

    run(scenario)
