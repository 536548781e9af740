"""server/gateway.py: heartbeats and the goodbye to all."""

import asyncio
import resource
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from eventhub.auth.blocks import Decision, Target
from eventhub.brokers.memory import MemoryBroker
from eventhub.config import channel_types
from eventhub.errors import EventHubError, Internal, ShuttingDown
from eventhub.hub import Hub
from eventhub.metrics import Metrics
from eventhub.nodes import Nodes
from eventhub.server import gateway as gateway_module
from eventhub.server.farewell import MARGIN_SECONDS, RETURN_PACE
from eventhub.server.gateway import BEATS, READ_SLICE, TRANSPORTS, Gateway, too_large
from eventhub.server.guard import Guard
from eventhub.session import SessionLimits
from eventhub.settings import LimitSettings, Settings, ShutdownSettings
from tests.builders import Nowhere

thorough = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def build(**fields: Any) -> Gateway:
    """A gateway over a real hub, on default settings but for `fields`."""
    configured = Settings(**fields)
    types = channel_types(configured, Path())
    metrics = Metrics(kind.name for kind in types)
    hub = Hub(types, MemoryBroker(lambda channel: types.resolve(channel).retention, Hub.now), metrics)
    return Gateway(configured, hub, Guard(configured.auth, Path(), Hub.now))


async def drain(gateway: Gateway) -> None:
    """As a node among others does."""
    gateway.begin_end(0)
    await gateway.end()


def test_whatever_is_wrong_with_a_decision_the_desk_goes_on_repeating() -> None:
    admin = build().admin
    admin._blocks.merge([Decision(Target("key", "ana"), 0, 10**300, blocked=True)])  # no JSON can be made of it
    asyncio.run(admin._repeat({"n2"}))


# Connections


class Open:
    """An open connection that notes what it is told."""

    why = "told to"

    def __init__(self, gateway: Gateway, transport: str = "websocket", size: int = 0, on_beat: Callable[[], None] | None = None) -> None:
        self.transport = transport
        self.size = size
        self.beats = 0
        self.goodbyes: list[ShuttingDown] = []
        self.on_beat = on_beat
        self.gateway = gateway
        self.leaves = True
        self.told = asyncio.Event()
        self.aborted = False
        gateway.opened(self, gateway.visits.enter(gateway.guard.nobody, "192.0.2.1"))

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
            self.gateway.closed(self)


def run(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            await scenario()

    asyncio.run(main())


Values = dict[tuple[str, ...], float]


async def read(gateway: Gateway) -> dict[str, Values]:
    """Values by label values, by name."""
    return {name: dict(values) async for name, _, values, _ in gateway.readings()}


def test_connections_and_bytes_are_counted_by_transport_zero_included() -> None:
    gateway = build()
    Open(gateway, "websocket", 10)
    Open(gateway, "websocket", 5)
    gone = Open(gateway, "sse", 7)
    Open(gateway, "ndjson", 1)
    gateway.closed(gone)
    gateway.closed(gone)
    found = asyncio.run(read(gateway))
    assert found["eventhub_connections"] == {("websocket",): 2, ("sse",): 0, ("ndjson",): 1, ("producer",): 0}
    assert found["eventhub_connections_opened_total"] == {("websocket",): 2, ("sse",): 1, ("ndjson",): 1, ("producer",): 0}
    assert found["eventhub_buffered_bytes"] == {("websocket",): 15, ("sse",): 0, ("ndjson",): 1, ("producer",): 0}
    assert TRANSPORTS == ("websocket", "sse", "ndjson", "producer")


def test_the_limit_of_connections_is_the_one_that_holds() -> None:
    assert asyncio.run(read(build(limits=LimitSettings(connections=100))))["eventhub_connections_limit"] == {(): 100}
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = asyncio.run(read(build(limits=LimitSettings(connections=10**9))))["eventhub_connections_limit"][()]
    assert files * 3 / 4 <= most < files


def test_readiness_is_what_readyz_says() -> None:
    gateway = build()

    async def scenario() -> None:
        assert (await read(gateway))["eventhub_ready"] == {(): False}, "the hub does not run"
        running = asyncio.create_task(gateway.hub.run())
        await gateway.hub.started.wait()
        assert (await read(gateway))["eventhub_ready"] == {(): True}
        await drain(gateway)
        assert (await read(gateway))["eventhub_ready"] == {(): False}
        running.cancel()
        await asyncio.wait([running])

    run(scenario)


def test_a_scrape_looks_at_so_many_connections_a_turn() -> None:
    gateway = build()
    turn = 0
    looks: list[int] = []

    class Counted(Open):
        def buffered(self) -> int:
            looks.append(turn)
            return 1

    for _ in range(2 * READ_SLICE + 1):
        Counted(gateway, "websocket")

    async def scenario() -> None:
        nonlocal turn
        reading = asyncio.create_task(read(gateway))
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
def test_strangers_may_send_little_unless_they_may_publish(auth: bool, anonymous: list[str], expected: int) -> None:  # noqa: FBT001
    keys = [{"name": "a", "hash": "sha256:" + "0" * 64}] if auth else []
    gateway = build(auth={"keys": keys}, channels={"chat": {"anonymous": anonymous}}, limits=LimitSettings(stranger_bytes=1000))
    assert gateway.session_limits.stranger_bytes == expected


def test_sessions_get_the_configured_limits_and_the_hub() -> None:
    gateway = build(limits=LimitSettings(event_bytes=200, subscriptions=7, depth=9), heartbeat=3)
    assert gateway.session_limits == SessionLimits(message_bytes=200, subscriptions=7, heartbeat=3, depth=9, stranger_bytes=200)
    written: list[bytes] = []

    class Writer(Nowhere):
        def write(self, data: bytes) -> None:
            written.append(data)

    session = gateway.session(Writer(), lambda ref, event: None, gateway.visits.enter(gateway.guard.nobody, ""))
    session.receive(b'{"type":"subscribe","channel":"zzz"}')
    assert b'"unknown_channel"' in written[0]


def test_every_connection_is_beaten_once_a_heartbeat_but_for_those_that_left() -> None:
    turn = 0
    beats: list[int] = []

    async def scenario() -> None:
        nonlocal turn
        gateway = build(heartbeat=0.05)
        first = Open(gateway)
        others = [Open(gateway, on_beat=lambda: beats.append(turn)) for _ in range(2 * BEATS)]
        leaver = Open(gateway)
        first.on_beat = lambda: gateway.closed(leaver)
        beating = asyncio.create_task(gateway.beat())
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
        gateway = build(heartbeat=0.05)
        beating = asyncio.create_task(gateway.beat())
        await asyncio.sleep(0)
        reached = asyncio.Event()
        Open(gateway, on_beat=reached.set)
        await reached.wait()
        beating.cancel()

    run(scenario)


def test_draining_says_goodbye_to_all_each_with_a_moment_of_its_own() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(grace=10, reconnect_within=4))
        connections = [Open(gateway) for _ in range(510)]
        await drain(gateway)
        assert gateway.hub.draining
        assert all(len(connection.goodbyes) == 1 for connection in connections)
        moments = [error.retry_after for connection in connections for error in connection.goodbyes]
        assert all(0 < moment <= 4 for moment in moments)
        assert max(Counter(moments).values()) == 1
        assert {error.code for connection in connections for error in connection.goodbyes} == {"shutting_down"}

    run(scenario)


def test_draining_takes_nobody_new_and_serves_on_until_it_is_closed() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(reconnect_within=4))
        await drain(gateway)
        with pytest.raises(ShuttingDown) as caught:
            Open(gateway)
        assert 0 < caught.value.retry_after <= 4
        assert not gateway.hub.closing
        gateway.close()
        assert gateway.hub.closing

    run(scenario)


def test_a_node_that_can_serve_nobody_any_more_sends_all_away_at_once() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(spread=3600))
        gateway.hub.ended = True
        connections = [Open(gateway) for _ in range(5000)]
        await drain(gateway)
        assert all(connection.goodbyes for connection in connections)

    run(scenario)


def test_whose_connection_ends_before_its_turn_is_not_told() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(spread=0.2))
        connections = [Open(gateway) for _ in range(30)]
        draining = asyncio.create_task(drain(gateway))
        await asyncio.sleep(0)
        left = [connection for connection in connections if not connection.goodbyes][:5]
        for connection in left:
            gateway.closed(connection)
        await draining
        assert len(left) == 5
        assert not any(connection.goodbyes for connection in left)
        assert sum(len(connection.goodbyes) for connection in connections) == 25

    run(scenario)


def test_a_goodbye_that_fails_keeps_no_other_from_its_own() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(spread=0, grace=0.01))
        broken, other = Open(gateway), Open(gateway)
        broken.told = None  # type: ignore[assignment]  # telling it raises
        await drain(gateway)
        assert len(other.goodbyes) == 1
        assert broken.aborted

    run(scenario)


def test_draining_without_connections_is_done_at_once() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(grace=3600))
        await drain(gateway)
        assert gateway.hub.draining

    run(scenario)


def test_draining_waits_for_those_that_still_flush() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(grace=3600))
        slow = Open(gateway)
        slow.leaves = False
        draining = asyncio.create_task(drain(gateway))
        await slow.told.wait()
        assert not draining.done()
        gateway.closed(slow)
        await draining

    run(scenario)


def test_draining_ends_when_the_time_is_up() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(grace=0.01))
        stuck = Open(gateway)
        stuck.leaves = False
        await drain(gateway)
        assert len(stuck.goodbyes) == 1
        assert stuck.aborted, "who stays is cut off"

    run(scenario)


@pytest.mark.parametrize(("others", "workers", "alone"), [(0, 1, True), (1, 1, False), (1, 2, True), (2, 2, False), (0, 2, True)])
def test_a_node_is_alone_when_all_that_it_knows_stop_with_it(
    monkeypatch: pytest.MonkeyPatch, others: int, workers: int, *, alone: bool
) -> None:
    gateway = build()
    monkeypatch.setattr(Nodes, "others", {f"node{number}" for number in range(others)})
    gateway.begin_end(workers)
    assert gateway.alone is alone
    assert gateway.refusing is not alone


def test_who_is_alone_takes_newcomers_and_sends_them_away_with_the_others() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(spread=3600))
        early = Open(gateway)
        gateway.begin_end()
        assert gateway.unready()["server"] == "about to stop"
        late = Open(gateway)
        await gateway.end()
        assert [len(connection.goodbyes) for connection in (early, late)] == [1, 1]
        behind = Open(gateway)
        await behind.told.wait()
        assert len(behind.goodbyes) == 1

    run(scenario)


def test_who_leaves_together_comes_back_evenly_once_the_node_may_have_started_again() -> None:
    async def scenario() -> None:
        gateway = build()
        gateway.start_seconds = 0.8
        connections = [Open(gateway) for _ in range(2000)]
        gateway.begin_end()
        await gateway.end()
        moments = [error.retry_after for connection in connections for error in connection.goodbyes]
        assert moments != sorted(moments), "in no order that groups of clients have"
        moments.sort()
        assert moments[0] >= 0.8 + MARGIN_SECONDS
        assert all(later - earlier <= 2 / RETURN_PACE for earlier, later in pairwise(moments))
        assert moments[-1] - moments[0] == pytest.approx(2000 / RETURN_PACE, rel=0.01)

    run(scenario)


def test_who_is_alone_waits_but_a_moment_for_those_that_still_flush() -> None:
    async def scenario() -> None:
        gateway = build(shutdown=ShutdownSettings(grace=3600))
        stuck = Open(gateway)
        stuck.leaves = False
        gateway.begin_end()
        await gateway.end()
        assert stuck.aborted

    run(scenario)


def test_what_is_too_large_names_the_limit() -> None:
    error = too_large("the message is larger", "event_bytes", 65536)
    assert error.code == "payload_too_large"
    assert error.message == "the message is larger; at most 65536 bytes are allowed (limits.event_bytes)"


def test_the_paths_are_those_of_the_protocol() -> None:
    assert (gateway_module.PATH, gateway_module.SUBPROTOCOL) == ("/v1/ws", "eventhub.v1")


def test_a_heartbeat_that_fails_ends_its_connection_and_costs_nobody_else_theirs() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        gateway = build(heartbeat=0.05)
        again = asyncio.Event()
        bad = Open(gateway, on_beat=broken)
        good = Open(gateway, on_beat=lambda: again.set() if good.beats == 2 else None)
        beating = asyncio.create_task(gateway.beat())
        await again.wait()
        beating.cancel()
        assert isinstance(bad.failed, Internal)
        assert not hasattr(good, "failed")
        assert gateway.hub.faults.counts["heartbeat"] >= 1

    run(scenario)
