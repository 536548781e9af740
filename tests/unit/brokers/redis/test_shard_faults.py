"""brokers/redis/shard.py: what does not answer is left, in time."""

import asyncio

import pytest
import structlog

from eventhub.brokers.redis import shard as shard_module
from eventhub.brokers.redis.codec import SCRIPTS
from eventhub.brokers.redis.link import LinkLost, RedisLink, ignore
from eventhub.brokers.redis.shard import ANSWER_SECONDS, BUSY_SECONDS
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.listening import serving
from tests.unit.brokers.redis.server import SILENCE, Failure, FakeRedis
from tests.unit.brokers.redis.started import Started, running, working

pytestmark = pytest.mark.usefixtures("without_pauses")


@in_loop
async def test_probes_that_do_not_arrive_end_the_announcements(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_module, "ANSWER_SECONDS", 0.05)
    async with working() as started:
        started.server.answers["PUBLISH"] = lambda command: 0
        await started.complains("announcements: probes do not arrive")
        del started.server.answers["PUBLISH"]
        await started.works()


@in_loop
async def test_a_refused_subscription_is_in_the_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_module, "ANSWER_SECONDS", 0.05)
    server = FakeRedis()
    server.answers["SUBSCRIBE"] = lambda command: Failure("NOPERM hush")
    async with serving(server), running(server) as started:
        await started.complains("probes do not arrive; subscribing was answered NOPERM")


@pytest.mark.parametrize(("chatter", "rounds"), [(0, 1), (1, int(BUSY_SECONDS / ANSWER_SECONDS))])
@in_loop
async def test_a_probe_may_be_late_for_so_long_while_other_announcements_arrive(
    monkeypatch: pytest.MonkeyPatch, chatter: int, rounds: int
) -> None:
    monkeypatch.setattr(shard_module, "ANSWER_SECONDS", ANSWER_SECONDS)
    monkeypatch.setattr(shard_module, "BUSY_SECONDS", BUSY_SECONDS)
    waits: list[int] = []

    async def time_passes(*awaited: object) -> None:
        link.received += chatter
        waits.append(link.received)

    monkeypatch.setattr(shard_module, "_wait_for_any", time_passes)
    shard, link = Started(FakeRedis()).shard, RedisLink(ignore)
    arrival: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with pytest.raises(LinkLost, match="probes do not arrive"):
        await shard._wait_for_arrival(link, arrival)
    assert len(waits) == rounds
    arrival.set_result(None)
    await shard._wait_for_arrival(link, arrival)
    link.close("it is over")
    with pytest.raises(LinkLost, match="it is over"):
        await shard._wait_for_arrival(link, arrival)


@in_loop
async def test_commands_without_an_answer_end_their_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_module, "ANSWER_SECONDS", 0.05)
    async with working() as started:
        started.server.answers["PUBLISH"] = lambda command: SILENCE
        await started.complains("commands: no answer to a probe")
        del started.server.answers["PUBLISH"]
        await started.works()


@in_loop
async def test_a_probe_waits_for_the_commands_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_module, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(shard_module, "ANSWER_SECONDS", 3600)
    monkeypatch.setattr(shard_module, "BUSY_SECONDS", 3600)
    server = FakeRedis()
    server.answers["SCRIPT"] = lambda command: SILENCE
    async with serving(server), running(server) as started:
        started.shard._troubles["commands"] = ""
        await started.complains("announcements: no answer in time")


@in_loop
async def test_a_server_that_does_not_answer_the_scripts_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_module, "ANSWER_SECONDS", 0.05)
    server = FakeRedis()
    server.answers["SCRIPT"] = lambda command: SILENCE
    async with serving(server), running(server) as started:
        await started.complains("commands: no answer in time")
        assert started.shard.commands is None


@in_loop
async def test_a_server_that_does_not_answer_the_login_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_module, "CONNECT_SECONDS", 0.05)
    server = FakeRedis()
    server.answers["HELLO"] = lambda command: SILENCE
    async with serving(server), running(server) as started:
        await started.complains("commands: no answer in time")
        started.shard._troubles["commands"] = ""
        await started.complains("announcements: no answer in time")


@in_loop
async def test_a_server_that_is_no_longer_a_master_is_left() -> None:
    async with working() as started:
        started.server.role = b"replica"
        await started.complains("it is ")
        assert started.owner.doubts >= 1
        await async_eventually("no commands", lambda: started.shard.commands is None)
        started.server.role = b"master"
        await started.works()


@in_loop
async def test_what_cannot_be_processed_ends_a_connection_and_not_the_shard() -> None:
    async with working() as started:
        started.server.answers["HELLO"] = lambda command: b"unforeseen"
        await started.complains("its answer cannot be processed: TypeError")
        started.server.answers.clear()
        await started.works()


@in_loop
async def test_connections_are_made_anew_when_asked() -> None:
    async with working() as started:
        scripts = len(started.server.named("SCRIPT"))
        started.shard.reconnect("it moved")
        await async_eventually(
            "new connections", lambda: len(started.server.named("SCRIPT")) > scripts
        )
        await started.works()
        assert len(started.server.named("SUBSCRIBE")) == 2


@in_loop
async def test_scripts_are_loaded_again_before_the_next_command() -> None:
    async with working() as started:
        started.server.commands.clear()
        started.shard.load_scripts()
        assert started.shard.commands is not None
        await started.shard.commands.call("SELECT", 1)
        names = [command[0] for command in started.server.commands if command[0] != b"HELLO"]
        assert [name for name in names if name != b"PUBLISH"] == [
            *[b"SCRIPT"] * len(SCRIPTS),
            b"SELECT",
        ]
        started.shard.commands = None
        started.shard.load_scripts()


@pytest.mark.parametrize(
    ("memory", "warned"),
    [
        (b"maxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", False),
        (b"maxmemory:9\r\nmaxmemory_policy:noeviction\r\n", False),
        (b"maxmemory:9\r\nmaxmemory_policy:allkeys-lru\r\n", True),
    ],
)
@in_loop
async def test_a_server_that_may_evict_is_warned_of(*, memory: bytes, warned: bool) -> None:
    server = FakeRedis()
    server.memory = memory
    with structlog.testing.capture_logs() as logs:
        async with serving(server), running(server) as started:
            await started.works()
    assert ("redis_evicts" in [line["event"] for line in logs]) == warned


@in_loop
async def test_the_pause_between_two_attempts_grows_and_begins_anew_after_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shard_module, "BACKOFF_SECONDS", (0.001, 0.004))
    pauses: list[float] = []

    class Half(float):
        """Notes by what it is multiplied."""

        def __rmul__(self, other: float) -> float:
            pauses.append(other)
            return 0

    monkeypatch.setattr("eventhub.brokers.redis.shard.random.uniform", lambda low, high: Half())
    async with serving(FakeRedis()) as server:
        pass
    started = Started(server)
    keeping = asyncio.create_task(started.shard._keep("commands", started.shard._serve_commands))
    await async_eventually("attempts", lambda: len(pauses) >= 4)
    assert pauses[:4] == [0.001, 0.002, 0.004, 0.004]
    async with serving(server):
        await async_eventually("a connection", lambda: started.shard.commands)
        pauses.clear()
    await async_eventually("attempts", lambda: len(pauses) >= 2)
    assert pauses[:2] == [0.001, 0.002]
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
