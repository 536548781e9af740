"""What the NATS broker stores, and what happens when NATS is full or behind."""

import asyncio
import secrets
from pathlib import Path

import pytest

from eventhub.brokers.nats import NatsBroker
from eventhub.brokers.nats.message import STAMPS
from eventhub.brokers.nats.sequence_tracker import SequenceTracker
from eventhub.errors import BrokerUnavailable, PayloadTooLarge
from eventhub.events.channel_types import Retention
from eventhub.events.event import Earliest, NewEvent, Receipt
from eventhub.hub.hub import Hub
from tests.harness import nats_servers
from tests.harness.eventually import async_eventually
from tests.harness.nats_servers import Server
from tests.integration.checker import CLEAN, Books, on_nodes
from tests.integration.nats_nodes import (
    broker,
    node,
    server_fixture,  # noqa: F401
    stream_of,
)


def test_a_server_without_jetstream_is_not_ready() -> None:
    plain = Server(jetstream=False).start()
    each = node(plain.url)

    async def scenario() -> None:
        await async_eventually(
            "JetStream to be missed", lambda: "JetStream" in (each.broker.unready() or "")
        )

    try:
        asyncio.run(on_nodes([each], scenario))
    finally:
        plain.remove()


def test_a_lost_announcement_is_noticed_even_if_no_other_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A leader that dies between storing and announcing loses one."""
    each, books = node(f"{nats_servers.single().url}?prefix={secrets.token_hex(4)}"), Books()

    async def scenario() -> None:
        await books.close([each])
        with monkeypatch.context() as deaf:
            unheard: list[object] = []
            deaf.setattr(
                SequenceTracker,
                "on_announcement",
                lambda self, stored, last: unheard.append(stored),
            )
            lost = await books.insist(each, "log.a")
            await async_eventually("an announcement", lambda: unheard)
        await books.insist(each, "log.b")
        await async_eventually("what was lost", lambda: each.readers["log.a"].has(lost))
        await books.close([each])

    asyncio.run(on_nodes([each], scenario))
    assert books.faults([each]) == CLEAN


def test_a_server_that_has_not_caught_up_reports_nothing_as_expired() -> None:
    """Under load, the replica of a killed server answers reads again before it has caught up."""
    each = node(f"{nats_servers.single().url}?prefix={secrets.token_hex(4)}", timeout=30)

    async def scenario() -> None:
        (last,) = await each.broker.publish([NewEvent("log.a", b'"1"', Hub.now())])
        assert isinstance(last, Receipt)
        assert isinstance(each.broker, NatsBroker)
        assert each.broker._session is not None
        log = await each.broker._session.log("log.a")
        async with log.reader(last.position.offset // STAMPS) as reader:
            assert reader.total == 1
        with pytest.raises(BrokerUnavailable, match="has not caught up"):
            async with log.reader(last.position.offset // STAMPS + 2):
                pass

    asyncio.run(on_nodes([each], scenario))


def test_full_storage_at_nats_is_named_in_the_error(tmp_path: Path) -> None:
    settings = tmp_path / "nats.conf"
    settings.write_text("jetstream { max_file_store: 200000 }")
    server = Server("-c", str(settings)).start()
    each = node(server.url)

    async def scenario() -> None:
        events = [NewEvent("log.a", b'"%s"' % (b"x" * 10_000), 0)] * 30
        results = await each.broker.publish(events)
        assert isinstance(results[0], Receipt)
        assert isinstance(results[-1], BrokerUnavailable)
        assert "resource" in results[-1].message
        assert len((await each.broker.history("log.a", Earliest(), 100)).events) == sum(
            isinstance(result, Receipt) for result in results
        )

    try:
        asyncio.run(on_nodes([each], scenario))
    finally:
        server.remove()


def test_a_channel_whose_events_all_left_storage_keeps_its_order() -> None:
    """An operator's purge has the effect that age has in the end."""
    server, prefix = nats_servers.single(), secrets.token_hex(4)
    here, there = node(f"{server.url}?prefix={prefix}"), node(f"{server.url}?prefix={prefix}")
    del there.readers["log.a"]

    async def scenario() -> None:
        first, last = (
            await here.broker.publish([NewEvent("log.a", b'"%d"' % n, Hub.now()) for n in range(2)])
        )[:2]
        assert isinstance(first, Receipt)
        assert isinstance(last, Receipt)
        await async_eventually("the first", lambda: here.readers["log.a"].has("1"))
        name = await asyncio.to_thread(stream_of, server, prefix)
        await asyncio.to_thread(nats_servers.ask, server.port, f"STREAM.PURGE.{name}")
        for each in (here, there):
            assert (await each.broker.history("log.a", last.position, 10)).lost is None
            assert (await each.broker.history("log.a", first.position, 10)).lost == "expired"
            piece = await each.broker.history("log.a", Earliest(), 10)
            assert (list(piece.events), piece.start) == ([], piece.end)
        (again,) = await here.broker.publish([NewEvent("log.a", b'"2"', Hub.now())])
        assert isinstance(again, Receipt)
        assert again.position > last.position
        await async_eventually("the second", lambda: here.readers["log.a"].has("2"))
        piece = await there.broker.history("log.a", piece.end, 10)
        assert ([event.data for event in piece.events], piece.lost) == ([b'"2"'], None)
        assert (await there.broker.history("log.a", first.position, 10)).lost == "expired"

    asyncio.run(on_nodes([here, there], scenario))
    assert not here.readers["log.a"].gaps


def test_a_thousand_subscribed_channels() -> None:
    each = broker(f"{nats_servers.single().url}?prefix={secrets.token_hex(4)}", timeout=30)
    channels = [f"log.{n}" for n in range(1000)]
    heard: list[str] = []

    async def main() -> None:
        task = asyncio.create_task(
            each.run(
                lambda event: heard.append(event.channel),
                lambda channel: None,
                lambda message: None,
                lambda channel: None,
            )
        )
        await asyncio.gather(*map(each.subscribe, channels))
        await each.publish([NewEvent(channel, b"1", 0) for channel in channels])
        await async_eventually("a thousand", lambda: len(heard) == 1000)
        assert sorted(heard) == sorted(channels)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_an_event_too_large_for_the_broker_is_refused_and_the_others_are_stored() -> None:
    each = node(f"{nats_servers.single().url}?prefix={secrets.token_hex(4)}", timeout=30)

    async def scenario() -> None:
        results = await each.broker.publish(
            [NewEvent("log.a", data, 0) for data in (b"1", b'"%s"' % (b"x" * 1_100_000), b"2")]
        )
        assert [type(result) for result in results] == [Receipt, PayloadTooLarge, Receipt]

    asyncio.run(on_nodes([each], scenario))


def test_changed_retention_changes_the_stream() -> None:
    url = f"{nats_servers.single().url}?prefix={secrets.token_hex(4)}"

    async def main(kept: Retention, count: int) -> int:
        each = NatsBroker(url, lambda channel: kept, Hub.now)
        task = asyncio.create_task(
            each.run(
                lambda event: None, lambda channel: None, lambda message: None, lambda channel: None
            )
        )
        await each.publish([NewEvent("log.a", b"1", Hub.now()) for _ in range(count)])
        found = len((await each.history("log.a", Earliest(), 100)).events)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    assert asyncio.run(main(Retention(5, 60_000), 10)) == 5
    assert asyncio.run(main(Retention(20, None), 10)) == 16, (
        "five, the one that said what had expired, and ten"
    )
    assert asyncio.run(main(Retention(3, None), 1)) == 3


def test_reading_channels_that_nobody_used_leaves_one_stream_and_no_consumer() -> None:
    server, prefix = nats_servers.single(), secrets.token_hex(4)
    each = broker(f"{server.url}?prefix={prefix}")

    async def main() -> None:
        task = asyncio.create_task(
            each.run(
                lambda event: None, lambda channel: None, lambda message: None, lambda channel: None
            )
        )
        for first in range(0, 1000, 100):
            await asyncio.gather(
                *(
                    each.history(f"log.unused{number}", Earliest(), 10)
                    for number in range(first, first + 100)
                )
            )
        await asyncio.gather(*(each.subscribe(f"log.heard{number}") for number in range(100)))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    (name,) = nats_servers.ask(server.port, "STREAM.NAMES", f'{{"subject":"{prefix}.>"}}')[
        "streams"
    ]
    state = nats_servers.ask(server.port, f"STREAM.INFO.{name}")["state"]
    assert (state["messages"], state["consumer_count"]) == (0, 0)
