"""The SQLite broker with real faults: kills, full disks, other processes, damaged and restored
files.
"""

import asyncio
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest

from eventhub.brokers.sqlite import SqliteBroker, writer
from eventhub.brokers.sqlite.store import PROBE_BYTES
from eventhub.errors import BrokerUnavailable, ConfigurationError
from eventhub.events.channel_types import Retention
from eventhub.events.event import Earliest, Event, Last, NewEvent, Position, Receipt
from tests import SETTINGS
from tests.harness.eventually import async_eventually
from tests.integration.kill_sqlite import prove

HOUR = 3_600_000


class Disk:
    """A database that is opened and closed many times, with a clock that the test sets."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.retention = Retention(1000, None)
        self.now = 1_795_000_000_000
        self.delivered: list[Event] = []
        self.gaps: list[str] = []

    def build(self) -> SqliteBroker:
        return SqliteBroker(self.path, lambda channel: self.retention, lambda: self.now)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SqliteBroker]:
        broker = self.build()
        task = asyncio.create_task(
            broker.run(
                self.delivered.append,
                self.gaps.append,
                lambda message: None,
                lambda channel: None,
            )
        )
        try:
            yield broker
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def session(self, scenario: Callable[[SqliteBroker], Awaitable[object]]) -> None:
        async def main() -> None:
            async with self.open() as broker:
                await scenario(broker)

        asyncio.run(main())

    async def store(
        self, broker: SqliteBroker, *texts: str, channel: str = "a", key: str | None = None
    ) -> list[Position]:
        receipts = await broker.publish(
            [NewEvent(channel, f'"{text}"'.encode(), self.now, None, key) for text in texts]
        )
        return [receipt.position for receipt in receipts if isinstance(receipt, Receipt)]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "events.db")


def texts(events: object) -> list[str]:
    assert isinstance(events, (list, tuple))
    return [event.data.decode().strip('"') for event in events]


def test_killed_at_any_moment_it_has_what_it_acknowledged(tmp_path: Path) -> None:
    """The short form of `python -m tests.integration.kill_sqlite --kills 50`."""
    proof = prove(tmp_path / "events.db", 4)
    assert proof.acknowledged
    assert proof.deduplicated


# Restarts


def test_a_reader_resumes_over_a_restart_without_a_gap(disk: Disk) -> None:
    last: list[Position] = []

    async def before(broker: SqliteBroker) -> None:
        last.extend(await disk.store(broker, "1", "2"))

    async def after(broker: SqliteBroker) -> None:
        assert await broker.subscribe("a") == last[-1]
        (new,) = await disk.store(broker, "3")
        piece = await broker.history("a", last[0], 10)
        assert (texts(piece.events), piece.lost) == (["2", "3"], None)
        assert piece.events[1] == disk.delivered[0]
        assert (piece.events[1].previous, piece.events[1].position) == (last[-1].offset, new)
        assert (await broker.history("a", last[-1], 10)).lost is None
        assert texts((await broker.history("a", Last(2), 10)).events) == ["2", "3"]

    disk.session(before)
    disk.now += HOUR
    disk.session(after)


def test_a_position_of_an_empty_channel_survives_a_restart(disk: Disk) -> None:
    positions: list[Position] = []

    async def subscribe(broker: SqliteBroker) -> None:
        positions.append(await broker.subscribe("quiet"))
        piece = await broker.history("quiet", positions[0], 10)
        assert (piece.lost, piece.end) == (None, positions[0])

    disk.session(subscribe)
    disk.session(subscribe)
    assert positions[0] == positions[1]


def test_idempotency_keys_survive_a_restart_and_are_forgotten_after_ten_minutes(disk: Disk) -> None:
    first: list[Position] = []

    async def publish(broker: SqliteBroker) -> None:
        first.extend(await disk.store(broker, "once", key="k"))

    disk.session(publish)
    disk.now += 600_000
    disk.session(publish)
    disk.now += 1
    disk.session(publish)
    assert first[0] == first[1] != first[2]


def test_a_reader_ahead_of_a_restored_backup_gets_a_gap_even_after_new_events_overtook_it(
    disk: Disk, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    ahead: list[Position] = []

    async def publish(broker: SqliteBroker) -> None:
        ahead.extend(await disk.store(broker, *"abcdefgh"))

    async def resume(broker: SqliteBroker) -> None:
        assert (await broker.history("a", ahead[-1], 10)).lost == "reset", "before anything new"
        assert ahead[-1] not in await disk.store(broker, *"ABCDEFGHIJKLMNOP")
        assert (await broker.history("a", ahead[-1], 100)).lost == "reset", "after"
        kept = await broker.history("a", ahead[7], 100)
        assert (texts(kept.events), kept.lost) == (list("ABCDEFGHIJKLMNOP"), None), (
            "what the backup has is not lost"
        )

    disk.session(publish)
    shutil.copy(disk.path, backup)
    disk.now += HOUR
    disk.session(publish)
    disk.now += HOUR
    disk.session(publish)
    for suffix in ("-wal", "-shm"):
        assert not Path(f"{disk.path}{suffix}").exists(), "an orderly end leaves one file"
    shutil.copy(backup, disk.path)
    disk.now += HOUR
    disk.session(resume)


def test_only_its_owner_reads_the_database(disk: Disk) -> None:
    modes: dict[str, int] = {}

    async def look(broker: SqliteBroker) -> None:
        await disk.store(broker, "1")
        modes.update(
            {
                path.name.removeprefix(disk.path.name): path.stat().st_mode & 0o777
                for path in disk.path.parent.iterdir()
            }
        )

    disk.session(look)
    assert modes == {"": 0o600, "-wal": 0o600, "-shm": 0o600, "-lock": 0o600}


def test_a_path_may_hold_any_characters(tmp_path: Path) -> None:
    odd = Disk(tmp_path / "50% of a?b=c#d é.db")
    odd.session(lambda broker: odd.store(broker, "1"))
    assert odd.path.exists()


def test_a_deleted_database_is_another_log(disk: Disk) -> None:
    async def resume(broker: SqliteBroker) -> None:
        await disk.store(broker, "1", "2")
        assert (await broker.history("a", Position("0other0", 1), 10)).lost == "reset"

    disk.session(resume)
    disk.path.unlink()
    disk.session(resume)


# Files that cannot be used


def test_a_second_process_is_refused_until_the_first_has_ended(
    disk: Disk,
) -> None:
    code = (
        "import sys, time; from pathlib import Path; "
        "from eventhub.brokers.sqlite import SqliteBroker; "
        "broker = SqliteBroker(Path(sys.argv[1]), None, lambda: 0); print('open', flush=True); "
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(disk.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(
            ConfigurationError,
            match=rf"events\.db is in use by another process \(pid {other.pid}\)",
        ):
            disk.build()
        other.kill()
    disk.session(lambda broker: disk.store(broker, "1"))


def test_a_link_to_the_database_is_the_same_database(disk: Disk, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(disk.path)

    async def open_link(broker: SqliteBroker) -> None:
        with pytest.raises(ConfigurationError, match="in use"):
            Disk(link).build()

    disk.session(open_link)


def damage(path: Path) -> None:
    """Overwrite the pages in the middle."""
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xa5" * 16384)


def test_a_damaged_database_is_refused_and_left_alone(disk: Disk) -> None:
    disk.session(lambda broker: disk.store(broker, *("x" * 5000 for _ in range(100))))
    damage(disk.path)
    before = disk.path.read_bytes()
    with pytest.raises(
        ConfigurationError, match=r"events\.db is damaged .*restore it from a backup"
    ):
        disk.build()
    assert disk.path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(disk: Disk) -> None:
    disk.path.write_bytes(b"notes, not a database\n" * 1000)
    with pytest.raises(ConfigurationError, match="is no database"):
        disk.build()
    assert disk.path.read_bytes() == b"notes, not a database\n" * 1000


def test_a_database_of_another_program_or_of_a_newer_version_is_refused(
    disk: Disk, tmp_path: Path
) -> None:
    other = sqlite3.connect(disk.path)
    other.execute("CREATE TABLE bookmarks (url TEXT)")
    other.close()
    with pytest.raises(ConfigurationError, match="another program"):
        disk.build()
    newer = Disk(tmp_path / "newer.db")
    newer.session(lambda broker: newer.store(broker, "1"))
    other = sqlite3.connect(newer.path)
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(ConfigurationError, match="newer EventHub"):
        newer.build()


def test_a_directory_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nowhere/events\.db-lock.*No such file"):
        Disk(tmp_path / "nowhere" / "events.db").build()


# Full and failing disks


@contextmanager
def small_disk(tmp_path: Path, size: str) -> Iterator[Path]:
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(mount)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        if SETTINGS.get("EVENTHUB_TEST_REQUIRE"):
            pytest.fail(f"cannot mount a small disk: {made.stderr}")
        pytest.skip(f"cannot mount a small disk, which takes root: {made.stderr.strip()}")
    try:
        yield mount
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=True)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RECOVERY_SECONDS", 0.05)


async def fill(disk: Disk, broker: SqliteBroker) -> list[Position]:
    """Publish until an event is refused. Returns what was acknowledged."""
    stored: list[Position] = []
    with suppress(BrokerUnavailable):
        while len(stored) < 1000:
            stored += await disk.store(broker, "x" * 100_000)
    assert len(stored) < 1000
    return stored


async def survive(disk: Disk, broker: SqliteBroker, make_room: Callable[[], object]) -> None:
    await broker.subscribe("a")
    stored = await fill(disk, broker)
    assert stored
    assert "cannot be written" in str(broker.unready())
    with pytest.raises(BrokerUnavailable, match="cannot be written"):
        await disk.store(broker, "y" * 100_000, key="again")
    read = []
    piece = await broker.history("a", Earliest(), 1000)
    while piece.events:
        read += [event.position for event in piece.events]
        piece = await broker.history("a", piece.reached, 1000)
    assert read == stored, "history is there while nothing can be written"
    make_room()
    await async_eventually("readiness", broker.unready, lambda reason: reason is None)
    (after,) = await disk.store(broker, "y" * 100_000, key="again")
    piece = await broker.history("a", stored[-1], 10)
    assert [event.position for event in piece.events] == [after], "what was refused is not there"
    assert piece.events[0].previous == stored[-1].offset
    await async_eventually(
        "all of them", lambda: len(disk.delivered), lambda seen: seen == len(stored) + 1
    )


@pytest.mark.usefixtures("impatient")
def test_a_full_disk_refuses_publishes_and_recovers_when_there_is_space(tmp_path: Path) -> None:
    with small_disk(tmp_path, "12m") as mount:
        ballast = mount / "ballast"
        ballast.write_bytes(bytes(6 * 1024 * 1024))
        disk = Disk(mount / "events.db")

        async def subscribe_while_full(broker: SqliteBroker) -> None:
            def make_room() -> None:
                ballast.unlink()

            await survive(disk, broker, make_room)

        disk.session(subscribe_while_full)
        assert disk.gaps == [], "nothing was in doubt"


@pytest.mark.usefixtures("impatient")
def test_a_node_that_starts_on_a_full_disk_becomes_ready_when_there_is_space(
    tmp_path: Path,
) -> None:
    with small_disk(tmp_path, "8m") as mount:
        ballast = mount / "ballast"
        with suppress(OSError):
            ballast.write_bytes(bytes(16 * 1024 * 1024))
        disk = Disk(mount / "events.db")

        async def wait(broker: SqliteBroker) -> None:
            assert "cannot be written" in str(broker.unready())
            with pytest.raises(BrokerUnavailable):
                await disk.store(broker, "1")
            reading, subscribing = (
                asyncio.create_task(broker.history("a", Earliest(), 10)),
                asyncio.create_task(broker.subscribe("a")),
            )
            ballast.unlink()
            await async_eventually("readiness", broker.unready, lambda reason: reason is None)
            assert (await reading).end == await subscribing
            await disk.store(broker, "1")

        disk.session(wait)


@pytest.mark.usefixtures("impatient")
def test_a_database_whose_disk_failed_is_opened_again_and_feeds_read_history(disk: Disk) -> None:
    """Writes beyond a size fail with an error that is not "full" (EFBIG).

    The size is smaller than what a probe writes, so no probe succeeds.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (PROBE_BYTES * 3 // 4, hard))

    async def fail(broker: SqliteBroker) -> None:
        await survive(disk, broker, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)))
        await async_eventually("a gap", lambda: disk.gaps, lambda seen: seen == ["a"])

    try:
        disk.session(fail)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
