"""The NATS broker with real servers and real faults: no acknowledged event is lost silently, comes
twice or out of order.

The long form: `EVENTHUB_TEST_ROUNDS=20 pytest tests/integration/test_nats.py -k killed --timeout
900`.
"""

import asyncio
import secrets
import shutil
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from eventhub.brokers.nats.link import NatsLink
from eventhub.errors import BrokerUnavailable
from eventhub.events.event import Event, NewEvent, Position, Receipt
from eventhub.hub.hub import Hub
from tests import SETTINGS
from tests.harness import nats_servers
from tests.harness.eventually import async_eventually
from tests.harness.nats_servers import Server
from tests.harness.proxy import Proxy
from tests.integration.checker import CLEAN, Books, Node, on_nodes
from tests.integration.nats_nodes import (
    broker,
    caught_up,
    leader_of,
    node,
    server_fixture,  # noqa: F401
    stream_of,
)

ROUNDS = int(SETTINGS.get("EVENTHUB_TEST_ROUNDS", "1"))


def under_load(
    nodes: list[Node], books: Books, harm: Callable[[], Awaitable[None]], publishers: int = 4
) -> None:
    """Publish through all nodes during the faults. Afterwards everything has to arrive."""

    async def scenario() -> None:
        async with books.loading(nodes, publishers):
            await books.more()
            await harm()
            await books.more()
        await books.close(nodes)

    asyncio.run(on_nodes(nodes, scenario))


def test_a_killed_server_that_comes_back_loses_nothing(server: Server) -> None:
    nodes, books = [node(server.url), node(server.url)], Books()

    async def harm() -> None:
        for _ in range(ROUNDS):
            server.kill()
            await async_eventually("the outage to show", lambda: nodes[0].broker.unready())
            await asyncio.to_thread(server.start)
            await async_eventually(
                "all to be ready", lambda: not any(each.broker.unready() for each in nodes)
            )
            await books.more()

    under_load(nodes, books, harm)
    assert books.faults(nodes) == CLEAN
    assert [reader.gaps for each in nodes for reader in each.readers.values() if reader.gaps] == []


def test_wiped_storage_causes_a_reset_gap_for_every_reader(server: Server) -> None:
    nodes, books = [node(server.url), node(server.url)], Books()

    async def harm() -> None:
        server.kill()
        server.wipe()
        await asyncio.to_thread(server.start)

    under_load(nodes, books, harm)
    assert books.faults(nodes) == CLEAN
    for each in nodes:
        for reader in each.readers.values():
            assert [gap["reason"] for gap in reader.gaps] == ["reset"]
            assert len({place.epoch for place, _ in reader.events}) == 2


def test_deleting_a_nats_stream_causes_a_reset_gap(server: Server) -> None:
    nodes, books = [node(server.url), node(server.url)], Books()

    async def harm() -> None:
        name = await asyncio.to_thread(stream_of, server)
        await asyncio.to_thread(nats_servers.ask, server.port, f"STREAM.DELETE.{name}")

    under_load(nodes, books, harm)
    assert books.faults(nodes) == CLEAN
    assert all(reader.gaps for each in nodes for reader in each.readers.values())


def test_positions_of_a_lost_tail_are_recognised_after_the_log_has_grown_again(
    server: Server,
) -> None:
    """As after a power failure of the machine: acknowledged events are gone, and their sequences
    are used again.
    """
    jetstream, copy = Path(server.directory, "jetstream"), Path(server.directory, "copy")
    reached: list[Position] = []

    async def write(count: int) -> None:
        each = node(server.url)

        async def scenario() -> None:
            texts = [NewEvent("log.a", b'"%d"' % n, Hub.now()) for n in range(count)]
            for receipt in await each.broker.publish(texts):
                assert isinstance(receipt, Receipt)
                reached.append(receipt.position)

        await on_nodes([each], scenario)

    async def read() -> None:
        each = node(server.url)

        async def scenario() -> None:
            assert (await each.broker.history("log.a", reached[9], 100)).lost is None, (
                "it is in both"
            )
            assert (await each.broker.history("log.a", reached[14], 100)).lost == "reset"
            assert (await each.broker.history("log.a", reached[-1], 100)).lost is None

        await on_nodes([each], scenario)

    asyncio.run(write(10))
    server.kill()
    shutil.copytree(jetstream, copy)
    server.start()
    asyncio.run(write(10))
    server.kill()
    shutil.rmtree(jetstream)
    shutil.move(copy, jetstream)
    server.start()
    asyncio.run(write(20))
    asyncio.run(read())


def test_the_leader_of_a_cluster_killed_under_load() -> None:
    cluster = nats_servers.cluster()
    url = f"{cluster.url}?prefix=eventhub"
    nodes, books = [node(url), node(url)], Books()

    async def harm() -> None:
        for _ in range(ROUNDS):
            leader = await asyncio.to_thread(leader_of, cluster)
            cluster.named(leader).kill()
            await asyncio.to_thread(leader_of, cluster, leader)
            await async_eventually(
                "all to be ready", lambda: not any(each.broker.unready() for each in nodes)
            )
            await asyncio.to_thread(cluster.named(leader).start)
            await asyncio.to_thread(caught_up, cluster)

    under_load(nodes, books, harm)
    assert books.faults(nodes) == CLEAN
    assert [reader.gaps for each in nodes for reader in each.readers.values() if reader.gaps] == []


@pytest.mark.parametrize("harm", ["cut", "stall", "half_close"])
def test_a_connection_that_is_cut_stalls_or_half_closes(harm: str) -> None:
    server = nats_servers.single()
    proxy = Proxy(server.port)
    prefix = secrets.token_hex(4)
    nodes, books = (
        [
            node(f"{server.url}?prefix={prefix}"),
            node(f"nats://127.0.0.1:{proxy.port}?prefix={prefix}"),
        ],
        Books(),
    )

    async def do() -> None:
        getattr(proxy, harm)()
        await async_eventually("its trouble to show", lambda: nodes[1].broker.unready())
        proxy.heal()
        await async_eventually("it to be ready", lambda: not nodes[1].broker.unready())

    async def scenario() -> None:
        async with proxy:
            async with books.loading(nodes):
                await books.more()
                await do()
                await books.more()
            await books.close(nodes)

    async def main() -> None:
        await proxy.start()
        await on_nodes(nodes, scenario)

    asyncio.run(main())
    assert books.faults(nodes) == CLEAN


def test_without_a_server_it_says_so_and_turns_ready_when_one_comes(server: Server) -> None:
    server.kill()
    each = node(server.url, timeout=3)

    async def scenario() -> None:
        results = await asyncio.gather(
            each.broker.publish([NewEvent("log.a", b"1", 0)]), return_exceptions=True
        )
        assert [getattr(result, "code", None) for result in results] == ["broker_unavailable"]
        assert each.broker.unready()
        await asyncio.to_thread(server.start)
        await async_eventually("it to be ready", lambda: each.broker.unready() is None)
        assert len(await each.broker.publish([NewEvent("log.a", b"1", 0)])) == 1

    asyncio.run(on_nodes([each], scenario))


def test_a_fault_of_the_listener_ends_the_connection_and_reports_a_gap_of_the_channel() -> None:
    each = broker(f"{nats_servers.single().url}?prefix={secrets.token_hex(4)}", timeout=30)
    delivered: asyncio.Queue[bytes] = asyncio.Queue()
    gaps: asyncio.Queue[str] = asyncio.Queue()

    def deliver(event: Event) -> None:
        if event.data == b"1":
            raise LookupError(event)
        delivered.put_nowait(event.data)

    async def main() -> None:
        task = asyncio.create_task(
            each.run(deliver, gaps.put_nowait, lambda _: None, lambda _: None)
        )
        await each.subscribe("log.a")
        await each.publish([NewEvent("log.a", b"1", 0)])
        async with asyncio.timeout(30):
            assert await gaps.get() == "log.a", "history has what was lost"
            await each.publish([NewEvent("log.a", b"2", 0)])
            assert await delivered.get() == b"2"
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_cancellation_that_the_client_library_loses_ends_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`asyncio.wait_for` loses it before Python 3.12, if it arrives together with the server's
    refusal.
    """
    connecting = asyncio.Event()

    async def refused(link: NatsLink, server: str, login: Mapping[str, object]) -> None:
        lost = (asyncio.CancelledError,) if not connecting.is_set() else ()
        connecting.set()
        with suppress(*lost):
            await asyncio.Event().wait()
        raise BrokerUnavailable("the login was refused")

    async def main() -> None:
        task = asyncio.create_task(
            broker("nats://127.0.0.1:1").run(
                lambda event: None, lambda channel: None, lambda message: None, lambda channel: None
            )
        )
        await connecting.wait()
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled()

    monkeypatch.setattr(NatsLink, "open", refused)
    asyncio.run(main())
