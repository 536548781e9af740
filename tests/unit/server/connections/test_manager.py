"""server/connections/manager.py: open connections, heartbeats and metrics."""

import asyncio
import resource
from collections import Counter
from typing import Any

import pytest

from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import Internal
from eventhub.server.connections.connection import TRANSPORTS
from eventhub.server.connections.manager import BEATS, READ_SLICE, ConnectionManager
from eventhub.session.interfaces import SessionLimits
from tests.harness.builders import Nowhere
from tests.harness.eventually import turns_until
from tests.harness.hubs import running
from tests.unit.server.connections.manager_builder import OpenConnection, build, drain, run

KEY = {"name": "a", "hash": "sha256:" + "0" * 64}
Values = dict[tuple[str, ...], float]


async def read(manager: ConnectionManager) -> dict[str, Values]:
    """Values by label values, by name."""
    return {name: dict(values) async for name, _, values, _ in manager.readings()}


def test_connections_and_bytes_are_counted_by_transport_zero_included() -> None:
    manager = build()
    OpenConnection(manager, "websocket", 10)
    OpenConnection(manager, "websocket", 5)
    gone = OpenConnection(manager, "sse", 7)
    OpenConnection(manager, "ndjson", 1)
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


def test_the_metric_of_the_limit_is_the_effective_limit() -> None:
    assert asyncio.run(read(build(limits=LimitSettings(connections=100))))[
        "eventhub_connections_limit"
    ] == {(): 100}
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = asyncio.run(read(build(limits=LimitSettings(connections=10**9))))[
        "eventhub_connections_limit"
    ][()]
    assert files * 3 / 4 <= most < files


def test_the_metric_of_readiness_is_what_readyz_says() -> None:
    manager = build()

    async def scenario() -> None:
        assert (await read(manager))["eventhub_ready"] == {(): False}, "the hub does not run"
        async with running(manager.hub):
            assert (await read(manager))["eventhub_ready"] == {(): True}
            await drain(manager)
            assert (await read(manager))["eventhub_ready"] == {(): False}

    run(scenario)


def test_a_scrape_looks_at_so_many_connections_a_turn() -> None:
    manager = build()
    turn = 0
    looks: list[int] = []

    class Counted(OpenConnection):
        def buffered(self) -> int:
            looks.append(turn)
            return 1

    for _ in range(2 * READ_SLICE + 1):
        Counted(manager, "websocket")

    async def scenario() -> None:
        nonlocal turn
        reading = asyncio.create_task(read(manager))
        async for turn in turns_until(reading.done):  # noqa: B007
            pass
        assert reading.result()["eventhub_buffered_bytes"]["websocket",] == 2 * READ_SLICE + 1

    run(scenario)
    assert list(Counter(looks).values()) == [READ_SLICE, READ_SLICE, 1]


@pytest.mark.parametrize(
    ("auth", "anonymous", "expected"),
    [(False, [], 65536), (True, ["subscribe"], 1000), (True, ["publish"], 65536)],
    ids=["nobody is a stranger", "strangers listen", "strangers publish"],
)
def test_strangers_may_send_only_small_messages_unless_they_may_publish(
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
        Nowhere(),
        manager.registry.new_identity(manager.authentication.nobody, ""),
    )
    session.receive(b'{"type":"subscribe","channel":"zzz"}')
    assert b'"unknown_channel"' in written[0]


def test_every_open_connection_gets_one_heartbeat_a_period() -> None:
    turn = 0
    beats: list[int] = []

    async def scenario() -> None:
        nonlocal turn
        manager = build(heartbeat=0.05)
        first = OpenConnection(manager)
        others = [
            OpenConnection(manager, on_beat=lambda: beats.append(turn)) for _ in range(2 * BEATS)
        ]
        leaver = OpenConnection(manager)
        first.on_beat = lambda: manager.closed(leaver)
        beating = asyncio.create_task(manager.send_heartbeats())
        async for turn in turns_until(lambda: first.beats == 3, 1_000_000):  # noqa: B007
            pass
        beating.cancel()
        assert {connection.beats for connection in others} <= {2, 3}, "the third round has begun"
        assert leaver.beats == 0, "it left before its turn"

    run(scenario)
    assert max(Counter(beats).values()) <= BEATS, "others have their turn"


def test_heartbeats_reach_connections_that_open_later() -> None:
    async def scenario() -> None:
        manager = build(heartbeat=0.05)
        beating = asyncio.create_task(manager.send_heartbeats())
        await asyncio.sleep(0)
        reached = asyncio.Event()
        OpenConnection(manager, on_beat=reached.set)
        await reached.wait()
        beating.cancel()

    run(scenario)


def test_a_heartbeat_that_fails_ends_its_connection_only() -> None:
    def broken() -> None:
        raise ZeroDivisionError

    async def scenario() -> None:
        manager = build(heartbeat=0.05)
        again = asyncio.Event()
        bad = OpenConnection(manager, on_beat=broken)
        good = OpenConnection(manager, on_beat=lambda: again.set() if good.beats == 2 else None)
        beating = asyncio.create_task(manager.send_heartbeats())
        await again.wait()
        beating.cancel()
        assert isinstance(bad.failed, Internal)
        assert not hasattr(good, "failed")
        assert manager.hub.faults.counts["heartbeat"] >= 1

    run(scenario)


def test_a_closed_connection_is_kept_nowhere() -> None:
    async def scenario() -> None:
        manager = build(auth={"keys": []})
        connection = OpenConnection(manager)
        assert len(manager._heartbeats) == 1
        manager.closed(connection)
        manager.closed(connection)
        assert (len(manager._heartbeats), len(manager.registry)) == (0, 0)

    run(scenario)


@pytest.mark.parametrize(("keys", "rate"), [([], None), ([KEY], 5)])
def test_only_with_authentication_there_is_a_rate_of_publishing_for_all(
    keys: list[dict[str, str]], rate: float | None
) -> None:
    manager = build(auth={"keys": keys}, limits=LimitSettings(publish_rate=5))
    kind = next(iter(manager.hub.types))
    charge = manager.publish_quota.charge_for(manager.authentication.nobody, "192.0.2.1", kind)
    assert (None if charge is None else charge.burst) == rate


def test_a_new_connection_may_send_two_seconds_of_commands_at_once() -> None:
    bucket = build(limits=LimitSettings(commands=10)).command_bucket()
    bucket.spend(19, 1000)
    assert bucket.wait(1000) == 0
    bucket.spend(1, 1000)
    assert bucket.wait(1000) > 0
    assert bucket.wait(1200) == 0


def test_a_stranger_may_not_send_more_than_anybody() -> None:
    manager = build(
        auth={"keys": [KEY]}, limits=LimitSettings(event_bytes=500, stranger_bytes=1000)
    )
    assert manager.session_limits.stranger_bytes == 500


def test_the_end_of_a_large_session_goes_on_in_later_turns() -> None:
    closes: list[bool] = []

    class Large:
        def close(self, turn_over: object) -> bool:
            closes.append(True)
            return len(closes) == 3

    async def scenario() -> None:
        manager = build()
        session: Any = Large()
        manager.end_session(session)
        assert len(closes) == 1
        async for _ in turns_until(lambda: len(closes) == 3):
            pass

    run(scenario)


def test_a_session_that_fails_to_end_is_a_fault_and_is_not_tried_for_ever() -> None:
    closes: list[bool] = []

    class Broken:
        def close(self, turn_over: object) -> bool:
            closes.append(True)
            if len(closes) == 2:
                raise ZeroDivisionError
            return False

    async def scenario() -> None:
        manager = build()
        session: Any = Broken()
        manager.end_session(session)
        async for _ in turns_until(lambda: manager.hub.faults.counts["session"] == 1):
            pass
        assert len(closes) == 2

    run(scenario)
