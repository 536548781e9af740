"""brokers/nats/client.py: secrets go to no server without TLS, and every end is reported."""

import asyncio
import ssl
from pathlib import Path

import pytest

from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.url import NatsUrl
from eventhub.errors import BrokerUnavailable
from tests.harness.certificates import Authority
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.listening import serving
from tests.unit.brokers.nats.links import ignore, linked, nothing
from tests.unit.brokers.nats.server import FakeNats

INSISTS = "the URL asks for TLS, and the server does not require it"


@pytest.mark.parametrize("user", ["s3cret@", "ana:s3cret@", "s3cret:pass@", ""])
@in_loop
async def test_a_url_with_tls_tells_a_server_without_tls_no_secret(user: str) -> None:
    async with serving(FakeNats()) as server:
        link = NatsLink(nothing)
        login = NatsUrl.parse(f"tls://{user}127.0.0.1:{server.port}").login
        with pytest.raises(BrokerUnavailable, match=INSISTS) as refused:
            await link.open(server.address, login)
        assert link.closed.is_set()
    assert "s3cret" not in str(refused.value)
    assert "s3cret" not in server.told
    assert [login.get("auth_token") for login in server.logins] in ([], [None])


@in_loop
async def test_the_same_token_is_given_to_a_server_that_requires_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    server = FakeNats(tls_required=True)
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(*authority.issue("door"))
    login = NatsUrl.parse(f"tls://s3cret@127.0.0.1?ca={authority.file}").login
    async with linked(server, login) as link:
        await link.ping()
    assert [login["auth_token"] for login in server.logins] == ["s3cret"]


@in_loop
async def test_without_tls_in_the_url_a_login_is_given() -> None:
    server = FakeNats()
    async with linked(server, NatsUrl.parse("nats://ana:pw@h").login) as link:
        await link.ping()
    (login,) = server.logins
    assert (login["user"], login["pass"], login["name"]) == ("ana", "pw", "eventhub")


@in_loop
async def test_what_the_server_says_of_itself_is_known() -> None:
    async with linked(FakeNats(max_payload=4321, cluster="c")) as link:
        assert (link.max_payload, link.clustered) == (4321, True)
    async with linked(FakeNats()) as link:
        assert not link.clustered


@pytest.mark.parametrize("line", [b"MSG a 1 \xff 0\r\n\r\n", b"HMSG a 1 4 4\r\nNATS\r\n"])
@in_loop
async def test_a_message_that_the_library_cannot_read_ends_the_link(line: bytes) -> None:
    server = FakeNats()
    async with linked(server) as link:
        await link.listen("a", ignore)
        await link.ping()
        server.connections[0].writer.write(line)
        async with asyncio.timeout(30):
            await link.closed.wait()


@in_loop
async def test_the_end_of_the_connection_ends_the_link_and_nothing_is_connected_again() -> None:
    server = FakeNats()
    async with linked(server) as link:
        server.cut()
        async with asyncio.timeout(30):
            await link.closed.wait()
        with pytest.raises(BrokerUnavailable):
            await link.ping()
        assert len(server.logins) == 1


@in_loop
async def test_a_link_that_is_closed_lets_go_of_the_server_and_stops_its_subscriptions() -> None:
    async with serving(FakeNats()) as server:
        link = NatsLink(nothing)
        await link.open(server.address, {})
        subscription = await link.listen("a", ignore)
        await link.ping()
        await link.close()
        assert link.closed.is_set()
        await async_eventually("the connection's end", lambda: not server.connections)
        task = subscription._wait_for_msgs_task
        assert task is not None
        await async_eventually("the end of its task", task.done)


@in_loop
async def test_a_peer_that_reads_nothing_is_let_go_all_the_same() -> None:
    over, gone = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","version":"2.9.10","max_payload":67108864}\r\n')
        await reader.readuntil(b"PING\r\n")
        writer.write(b"PONG\r\n")
        await over.wait()
        while not gone.is_set():
            try:
                if not await reader.read(1 << 20):
                    gone.set()
            except OSError:
                gone.set()
        writer.transport.abort()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        link = NatsLink(nothing)
        await link.open(f"nats://127.0.0.1:{listening.sockets[0].getsockname()[1]}", {})
        await link.publish("a", bytes(32 * 1024 * 1024))
        async with asyncio.timeout(30):
            await link.close()
            over.set()
            await gone.wait()


@in_loop
async def test_a_server_that_is_not_there_or_refuses_the_login_is_named_without_secrets() -> None:
    link = NatsLink(nothing)
    async with serving(FakeNats()) as server:
        address = server.address
    with pytest.raises(BrokerUnavailable, match="no connection to a NATS server") as refused:
        await link.open(address, {"token": "s3cret"})
    assert "s3cret" not in str(refused.value)
    assert link.closed.is_set()
