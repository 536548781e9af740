"""brokers/sqlite/broker.py and writer.py: queues, time-outs, and the end. The disk is slow when a
test says so.
"""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson
import pytest

from eventhub.brokers.sqlite import SqliteBroker, broker, writer
from eventhub.brokers.sqlite.history import SqliteHistory
from eventhub.brokers.sqlite.pages import HistoryQuery
from eventhub.brokers.sqlite.store import SqliteStore
from eventhub.errors import BrokerUnavailable, ConfigurationError
from eventhub.events.channel_types import Retention
from eventhub.events.event import Earliest, Event, HistoryPage, NewEvent
from tests.harness.eventually import async_eventually

NOW = 1_795_000_000_000


class Node:
    """A broker whose disk can be stopped."""

    def __init__(self, path: Path, patch: pytest.MonkeyPatch) -> None:
        self.path = path
        self.delivered: list[Event] = []
        self.gaps: list[str] = []
        self.moving = threading.Event()
        self.moving.set()
        self.born: list[str | None] = []
        self.entered = threading.Event()
        self.groups: list[int] = []
        self.failure: Exception | None = None
        append = SqliteStore.append

        def slow(store: SqliteStore, calls: list[list[NewEvent]]) -> object:
            self.entered.set()
            assert self.moving.wait(20)
            self.groups.append(len(calls))
            if self.failure is not None:
                failure, self.failure = self.failure, None
                raise failure
            return append(store, calls)

        patch.setattr(SqliteStore, "append", slow)
        self.broker = SqliteBroker(
            path, lambda channel: Retention(1000, None), lambda: NOW, timeout=1
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        task = asyncio.create_task(
            self.broker.run(
                self.delivered.append, self.gaps.append, lambda message: None, self.born.append
            )
        )
        try:
            yield task
        finally:
            self.moving.set()
            task.cancel()
            with suppress(asyncio.CancelledError, ConfigurationError, ZeroDivisionError):
                await task

    def publish(self, text: str, key: str | None = None) -> "asyncio.Task[object]":
        return asyncio.create_task(self._publish(text, key))

    async def _publish(self, text: str, key: str | None) -> object:
        return await self.broker.publish([NewEvent("a", orjson.dumps(text), NOW, None, key)])

    async def stop_disk(self) -> "asyncio.Task[object]":
        """A publish that is on its way to the disk, and does not arrive."""
        self.moving.clear()
        self.entered.clear()
        publish = self.publish("0")
        assert await asyncio.to_thread(self.entered.wait, 10)
        return publish

    async def ready(self) -> None:
        await async_eventually("readiness", self.broker.unready, lambda reason: reason is None)

    async def log(self) -> list[str]:
        return [
            orjson.loads(event.data)
            for event in (await self.broker.history("a", Earliest(), 1000)).events
        ]


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(tmp_path / "events.db", monkeypatch)


def run(node: Node, scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with node.running():
            await scenario()

    asyncio.run(main())


def found_by_another(path: Path, events: int) -> list[bytes]:
    """What is in the log, for a broker of its own: the lock has to be free."""
    other = SqliteBroker(path, lambda channel: Retention(events, None), lambda: NOW)

    async def main() -> list[bytes]:
        task = asyncio.create_task(
            other.run(
                lambda event: None, lambda channel: None, lambda message: None, lambda channel: None
            )
        )
        piece = await other.history("a", Earliest(), 10)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        return [orjson.loads(event.data).encode() for event in piece.events]

    return asyncio.run(main())


def test_what_waits_while_the_disk_is_busy_goes_into_one_transaction(node: Node) -> None:
    async def scenario() -> None:
        first = await node.stop_disk()
        others = [node.publish(str(number)) for number in range(1, 51)]
        await asyncio.sleep(0)
        node.moving.set()
        await asyncio.gather(first, *others)
        assert node.groups == [1, 50]
        assert await node.log() == [str(number) for number in range(51)]

    run(node, scenario)


def test_a_publish_waits_no_longer_than_its_time_limit_and_a_retry_with_its_key_stores_once(
    node: Node,
) -> None:
    async def scenario() -> None:
        first = await node.stop_disk()
        second = node.publish("1", "k")
        for publish in (first, second):
            with pytest.raises(
                BrokerUnavailable,
                match=r"no answer within 1 s .*whether the events were stored is not known",
            ):
                await publish
        assert "busy with one transaction" in str(node.broker.unready())
        assert await node.log() == [], "history does not wait for the writer"
        node.moving.set()
        await node.publish("1", "k")
        assert node.broker.unready() is None
        assert await node.log() == ["0", "1"], (
            "what was under way is stored; what nobody waited for is not"
        )

    run(node, scenario)


def test_a_cancelled_publish_does_not_disturb_the_others(node: Node) -> None:
    async def scenario() -> None:
        first = await node.stop_disk()
        second, third = node.publish("1"), node.publish("2")
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        node.moving.set()
        await third
        assert await node.log() == ["0", "2"]

    run(node, scenario)


def test_publishers_wait_for_room_in_the_queue(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker, "QUEUE_BYTES", 100)

    async def scenario() -> None:
        first = await node.stop_disk()
        refused = node.publish("1")
        with pytest.raises(BrokerUnavailable):
            await refused
        later = node.publish("2")
        await asyncio.sleep(0)
        node.moving.set()
        await later
        with suppress(BrokerUnavailable):
            await first
        assert await node.log() == ["0", "2"]
        assert node.groups == [1, 1]

    run(node, scenario)


def test_a_transaction_is_bounded(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "GROUP_BYTES", 1000)

    async def scenario() -> None:
        first = await node.stop_disk()
        others = [node.publish(str(number)) for number in range(8)]
        await asyncio.sleep(0)
        node.moving.set()
        await asyncio.gather(first, *others)
        assert node.groups == [1, 4, 4]

    run(node, scenario)


def test_a_publish_before_run_waits_for_it_and_one_after_it_is_refused(node: Node) -> None:
    async def main() -> None:
        early = node.publish("early")
        async with node.running():
            await early
            last = node.publish("last")
            await asyncio.sleep(0)
        await last
        for refused in (
            node.broker.publish([]),
            node.broker.history("a", Earliest(), 1),
            node.broker.subscribe("a"),
        ):
            with pytest.raises(BrokerUnavailable, match="has ended"):
                await refused

    asyncio.run(main())
    assert found_by_another(node.path, 1) == [b"last"]


def test_the_end_is_orderly_however_often_run_is_cancelled_meanwhile(node: Node) -> None:
    async def main() -> tuple[object, object]:
        async with node.running() as task:
            assert await node.log() == []  # so that there is a reader to be waited for
            first = await node.stop_disk()
            second = node.publish("1")
            await asyncio.sleep(0)
            for _ in range(10):  # by its task group, by the one around that, by the loop's runner
                task.cancel()
                await asyncio.sleep(0)
            assert not task.done(), "it has not been answered yet what was under way"
            node.moving.set()

            def is_done() -> bool:
                task.cancel()
                return task.done()

            await async_eventually("the end", is_done)
            assert task.cancelled()
            return await asyncio.gather(first, second)  # errors are raised

    try:
        assert len(asyncio.run(main())) == 2
        for thread in threading.enumerate():
            if thread.name.startswith("sqlite-"):
                thread.join(10)
                assert not thread.is_alive(), thread.name
        assert not list(node.path.parent.glob("*-wal")), (
            "the database is closed, and by the writer last"
        )
    finally:
        node.broker._writer.end()  # a test that fails is not to hold its process up
    assert found_by_another(node.path, 10) == [b"0", b"1"]


def test_history_that_waits_for_a_reader_at_the_end_is_refused(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, reading, go_on = SqliteHistory.read, threading.Semaphore(0), threading.Event()

    def slow(history: SqliteHistory, query: HistoryQuery) -> HistoryPage:
        reading.release()
        assert go_on.wait(20)
        return read(history, query)

    monkeypatch.setattr(SqliteHistory, "read", slow)

    async def main() -> None:
        async with node.running() as task:
            reads = [asyncio.create_task(node.log()) for _ in range(broker.READERS + 1)]
            for _ in range(broker.READERS):
                assert await asyncio.to_thread(reading.acquire, timeout=10)
            task.cancel()
            await asyncio.sleep(0)
            go_on.set()
            *begun, waiting = await asyncio.gather(*reads, return_exceptions=True)
            assert begun == [[]] * broker.READERS
            assert isinstance(waiting, BrokerUnavailable)

    asyncio.run(main())


def test_after_an_error_whose_outcome_is_unknown_readers_are_asked_to_look(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RECOVERY_SECONDS", 0.01)

    async def scenario() -> None:
        await node.broker.subscribe("a")
        before = await node.broker.subscribe("b")
        node.failure = sqlite3.OperationalError("disk I/O error")
        with pytest.raises(BrokerUnavailable, match="disk I/O error"):
            await node.publish("1")
        assert await node.broker.subscribe("b") == before, (
            "answered once the database is open again"
        )
        await node.ready()
        await node.publish("2")
        assert sorted(node.gaps) == ["a", "b"]
        assert await node.log() == ["2"]

    run(node, scenario)


def test_opened_again_on_a_full_disk_it_reads_and_subscribes_before_it_can_write(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "RECOVERY_SECONDS", 0.01)
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    space = threading.Event()
    probe = SqliteStore.probe

    def probe_when_there_is_space(store: SqliteStore) -> None:
        if not space.is_set():
            raise full
        probe(store)

    monkeypatch.setattr(SqliteStore, "probe", probe_when_there_is_space)

    async def scenario() -> None:
        await node.broker.subscribe("a")
        node.failure = sqlite3.OperationalError("disk I/O error")
        with pytest.raises(BrokerUnavailable):
            await node.publish("1")
        await node.broker.subscribe("b")
        assert await node.log() == []
        assert node.gaps == [], "before it can announce again, looking would not help"
        with pytest.raises(BrokerUnavailable, match="cannot be written"):
            await node.publish("1")
        space.set()
        await node.ready()
        await node.publish("1")
        assert sorted(node.gaps) == ["a", "b"]

    run(node, scenario)


def test_a_fault_over_one_publish_is_for_its_publisher_and_the_others_are_stored(
    node: Node,
) -> None:
    async def main() -> None:
        async with node.running() as task:
            node.failure = ZeroDivisionError("of one of a group")
            node.moving.clear()
            early = node.publish("0")  # which the writer begins with, alone
            assert await asyncio.to_thread(node.entered.wait, 20)
            group = [node.publish(text) for text in "12"]
            await asyncio.sleep(0)
            node.moving.set()
            with pytest.raises(ZeroDivisionError):
                await early
            await asyncio.gather(*group)
            assert not task.done()
            node.failure = ZeroDivisionError("of a group")
            await asyncio.gather(*[node.publish(text) for text in "34"], return_exceptions=True)
            await node.publish("5")
            assert not task.done()

    asyncio.run(main())


def test_a_database_that_is_taken_away_ends_run(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "SWEEP_SECONDS", 0.01)
    monkeypatch.setattr(
        Path, "exists", lambda path: True
    )  # had it been asked first, it could go between that and the next look

    async def main() -> None:
        async with node.running() as task:
            await node.publish("1")
            node.path.rename(node.path.with_name("moved.db"))
            with pytest.raises(ConfigurationError, match="was moved, deleted or replaced"):
                await asyncio.wait_for(task, 10)

    asyncio.run(main())
