"""brokers/redis/link.py: how a connection is opened, and what its end says."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from eventhub.brokers.redis.link import ErrorReply, LinkLost, RedisLink, ignore, sentence
from eventhub.brokers.redis.url import Login, ServerAddress
from tests.harness.certificates import Authority
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.harness.transport import RecordedTransport as Wire
from tests.unit.brokers.listening import serving
from tests.unit.brokers.redis.links import on_a_link
from tests.unit.brokers.redis.server import Failure, FakeRedis


@pytest.mark.parametrize(
    ("login", "commands"),
    [
        (Login(), [b"HELLO 3 SETNAME eventhub"]),
        (Login(password="pw"), [b"HELLO 3 AUTH default pw SETNAME eventhub"]),
        (Login("ana", "pw"), [b"HELLO 3 AUTH ana pw SETNAME eventhub"]),
        (Login("ana"), [b"HELLO 3 SETNAME eventhub"]),
        (Login(db=2), [b"HELLO 3 SETNAME eventhub", b"SELECT 2"]),
    ],
)
@in_loop
async def test_a_connection_logs_in_before_anything_else(
    login: Login, commands: list[bytes]
) -> None:
    async with serving(FakeRedis()) as server:
        link = await RedisLink.open(server.address, login, ignore)
        assert [b" ".join(command) for command in server.commands] == commands
        link.close("done")


@in_loop
async def test_only_a_server_with_the_wanted_role_is_used() -> None:
    async with serving(FakeRedis()) as server:
        server.role = b"replica"
        with pytest.raises(LinkLost, match="it is a replica"):
            await RedisLink.open(server.address, Login(db=1), ignore)
        assert server.named("SELECT") == []
        await async_eventually("its end", lambda: not server.connections)
        (await RedisLink.open(server.address, Login(), ignore, role=None)).close("done")
        (await RedisLink.open(server.address, Login(), ignore, role=b"replica")).close("done")


@in_loop
async def test_a_login_that_is_refused_leaves_no_connection_and_shows_no_password() -> None:
    async with serving(FakeRedis()) as server:
        server.answers["HELLO"] = lambda command: Failure(f"WRONGPASS {command!r}")
        with pytest.raises(ErrorReply) as refused:
            await RedisLink.open(server.address, Login(password="hush"), ignore)
        assert sentence(refused.value) == "it answered WRONGPASS"
        assert "hush" not in str(refused.value)
        await async_eventually("its end", lambda: not server.connections)


@in_loop
async def test_with_tls_the_servers_name_is_checked_and_nothing_is_said_before(
    tmp_path: Path,
) -> None:
    authority = Authority(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*authority.issue("door"))
    server = FakeRedis()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls) as listening:
        port = listening.sockets[0].getsockname()[1]
        login = Login(password="hush", tls=authority.trust())
        link = await RedisLink.open(ServerAddress("127.0.0.1", port), login, ignore)
        assert len(server.commands) == 1
        link.close("done")
        stranger = Login(password="hush", tls=Authority(tmp_path, "stranger").trust())
        with pytest.raises(ssl.SSLCertVerificationError):
            await RedisLink.open(ServerAddress("127.0.0.1", port), stranger, ignore)
        assert len(server.commands) == 1
        await async_eventually("their ends", lambda: not server.connections)
    async with serving(FakeRedis()) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await RedisLink.open(plain.address, login, ignore)
        assert plain.commands == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (None, "the connection was closed"),
        (ConnectionResetError("hush"), "the connection broke: ConnectionResetError"),
        (ssl.SSLError("hush"), "the connection broke: SSLError"),
    ],
)
def test_the_end_of_a_connection_has_a_reason_and_is_told_once(
    error: Exception | None, reason: str
) -> None:
    async def scenario(link: RedisLink, wire: Wire, pushed: list[Any]) -> None:
        told: list[Any] = []
        link.send(b"", told.append)
        link.connection_lost(error)
        link.close("later")
        link.connection_lost(None)
        link.send(b"", told.append)
        assert [str(one) for one in told] == [reason] * 2
        assert str(link.lost.result()) == reason
        assert wire.aborted

    on_a_link(scenario)


def test_an_alert_of_tls_is_named() -> None:
    async def scenario(link: RedisLink, wire: Wire, pushed: list[Any]) -> None:
        error = ssl.SSLError(1, "hush")
        error.reason = "TLSV13_ALERT_CERTIFICATE_REQUIRED"
        link.connection_lost(error)
        assert str(link.lost.result()).endswith("broke: TLSV13_ALERT_CERTIFICATE_REQUIRED")

    on_a_link(scenario)


def test_after_the_end_nothing_is_written() -> None:
    async def scenario(link: RedisLink, wire: Wire, pushed: list[Any]) -> None:
        link.write(b"late")
        link.close("over")
        await asyncio.sleep(0)
        assert wire.written == b""

    on_a_link(scenario)


def test_data_is_counted_and_a_reply_that_cannot_be_read_ends_the_link() -> None:
    async def scenario(link: RedisLink, wire: Wire, pushed: list[Any]) -> None:
        before = link.received
        link.data_received(b"+o")
        link.data_received(b"ne\r\n")
        assert link.received == before + 2
        link.data_received(b"-MOVED 12 nowhere\r\n")
        assert str(link.lost.result()) == "a reply cannot be read: ValueError"

    on_a_link(scenario)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "no answer in time"),
        (ErrorReply("OOM hush"), "it answered OOM"),
        (ConnectionRefusedError(111, "Connection refused"), "cannot connect: Connection refused"),
        (OSError("hush"), "cannot connect: OSError"),
        (LinkLost("it is a replica"), "it is a replica"),
    ],
)
def test_why_there_is_no_answer(error: Exception, reason: str) -> None:
    assert sentence(error) == reason
