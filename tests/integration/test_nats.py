"""The NATS broker with real servers and real faults: no acknowledged event is lost silently, comes
twice or out of order.

The long form: `EVENTHUB_TEST_ROUNDS=20 pytest tests/integration/test_nats.py -k killed --timeout
900`.
"""

import asyncio
import secrets
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from eventhub.brokers.nats import NatsBroker
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.message import STAMPS
from eventhub.brokers.nats.sequence_tracker import SequenceTracker
from eventhub.errors import BrokerUnavailable, PayloadTooLarge
from eventhub.events.channel_types import Retention
from eventhub.events.event import Earliest, Event, NewEvent, Position, Receipt
from eventhub.hub.hub import Hub
from tests import SETTINGS
from tests.harness import nats_servers
from tests.harness.eventually import async_eventually, eventually
from tests.harness.nats_servers import Cluster, Server
from tests.harness.proxy import Proxy
from tests.integration.checker import CLEAN, Books, Node, on_nodes

CHANNELS = ("log.a", "log.b", "log.c.d")
ROUNDS = int(SETTINGS.get("EVENTHUB_TEST_ROUNDS", "1"))


def retention(channel: str) -> Retention:
    return Retention(100_000, None)


def broker(url: str, timeout: float = 5) -> NatsBroker:
    return NatsBroker(url, retention, Hub.now, timeout=timeout)


def node(url: str, timeout: float = 5) -> Node:
    return Node(broker(url, timeout), retention, CHANNELS)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that the test may damage."""
    server = Server().start()
    yield server
    server.remove()


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
        task = asyncio.create_task(each.run(deliver, gaps.put_nowait, lambda message: None))
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
                lambda event: None, lambda channel: None, lambda message: None
            )
        )
        await connecting.wait()
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled()

    monkeypatch.setattr(NatsLink, "open", refused)
    asyncio.run(main())


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


def test_a_login_is_used_and_a_wrong_password_appears_in_no_message() -> None:
    server = Server("--user", "ana", "--pass", "p@ss").start()
    right, wrong = (
        node(server.url.replace("//", "//ana:p%40ss@")),
        node(server.url.replace("//", "//ana:s3cret@")),
    )

    async def scenario() -> None:
        await async_eventually("it to be ready", lambda: right.broker.unready() is None)
        await async_eventually("a refusal", lambda: "refused" in (wrong.broker.unready() or ""))
        assert "s3cret" not in (wrong.broker.unready() or "")

    try:
        asyncio.run(on_nodes([right, wrong], scenario))
    finally:
        server.remove()


def test_no_login_is_sent_to_a_server_without_tls_where_tls_is_asked_for() -> None:
    heard = bytearray()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b'INFO {"server_id":"x","version":"2.10.0","headers":true,"max_payload":1}\r\n'
        )
        while data := await reader.read(65536):
            heard.extend(data)
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        each = node(f"tls://u:s3cret@127.0.0.1:{port}")

        async def scenario() -> None:
            await async_eventually(
                "TLS to be missed", each.broker.unready, lambda why: "TLS" in (why or "")
            )

        async with server:
            await on_nodes([each], scenario)

    asyncio.run(main())
    assert b"s3cret" not in heard
    assert b"CONNECT" not in heard


def test_tls_is_used_and_insisted_on(tmp_path: Path, server: Server) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    request = (
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=x "
        "-addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        [openssl, *request.split(), "-keyout", key, "-out", cert], check=True, capture_output=True
    )
    safe = Server("--tls", "--tlscert", str(cert), "--tlskey", str(key)).start()
    trusting = node(safe.url.replace("nats:", "tls:") + f"?ca={cert}")
    doubting = node(safe.url.replace("nats:", "tls:"))
    stripped = node(server.url.replace("nats://", "tls://u:s3cret@"))

    async def scenario() -> None:
        await async_eventually("it to be ready", lambda: trusting.broker.unready() is None)
        await async_eventually(
            "doubts", lambda: "certificate" in (doubting.broker.unready() or "").lower()
        )
        await async_eventually(
            "TLS to be missed", lambda: "TLS" in (stripped.broker.unready() or "")
        )

    try:
        asyncio.run(on_nodes([trusting, doubting, stripped], scenario))
    finally:
        safe.remove()


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
            each.run(lambda event: None, lambda channel: None, lambda message: None)
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
            each.run(lambda event: None, lambda channel: None, lambda message: None)
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


def leader_of(cluster: Cluster, old: str = "") -> str:
    """The leader of the stream of events, once it is another than `old`."""

    def leaders() -> list[str]:
        found = []
        for server in cluster.servers:
            with suppress(OSError, AssertionError, KeyError, ValueError):
                info = nats_servers.ask(server.port, f"STREAM.INFO.{stream_of(server)}")
                found.append(info["cluster"]["leader"])
        return [leader for leader in found if leader != old]

    return eventually(f"a leader other than {old!r}", leaders)[0]


def stream_of(server: Server, prefix: str = "eventhub") -> str:
    """The name of the stream of events."""
    name: str = nats_servers.ask(server.port, "STREAM.NAMES", f'{{"subject":"{prefix}.log.>"}}')[
        "streams"
    ][0]
    return name
