"""brokers/nats/client.py: secrets go to no server without TLS, and every end is reported."""

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from nats.errors import ProtocolError

from eventhub.brokers.nats.client import PlainReplies
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


class Parsed:
    """What the library is given of what was read, and what is taken out of it."""

    def __init__(self) -> None:
        self.replies: list[tuple[str, bytes]] = []
        self.messages: list[bytes] = []
        self.pings = 0
        self.parser = PlainReplies(self)
        self.parser.subject, self.parser.on_reply = b"_INBOX.a.", self._take

    def _take(self, token: str, data: bytes) -> None:
        self.replies.append((token, data))

    async def _process_msg(self, *message: Any) -> None:
        self.messages.append(message[1] + b" " + message[3])

    async def _process_ping(self) -> None:
        self.pings += 1


REPLIES = b"MSG _INBOX.a.1 1 3\r\n\r\nx\r\nMSG _INBOX.a.2 1  0\r\n\r\n"
"""Two spaces, where a subject to answer to would stand, is what nats-server writes."""
OTHERS = (
    b"MSG b.c 2 1\r\n1\r\nMSG _INBOX.a.3 1 $JS.ACK.x 1\r\n2\r\n"
    b"HMSG _INBOX.a.4 1 12 13\r\nNATS/1.0\r\n\r\n3\r\n"
)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 1000])
@in_loop
async def test_plain_replies_are_taken_and_the_library_reads_the_others(size: int) -> None:
    parsed = Parsed()
    data = REPLIES + OTHERS
    for begin in range(0, len(data), size):
        await parsed.parser.parse(data[begin : begin + size])
    assert parsed.replies == [("1", b"\r\nx"), ("2", b"")]
    assert parsed.messages == [b"b.c 1", b"_INBOX.a.3 2", b"_INBOX.a.4 3"]
    assert not parsed.parser.buf
    await parsed.parser.parse(REPLIES)
    assert len(parsed.replies) == 4


@pytest.mark.parametrize("size", [1, 5, 17, 40, 1000])
@in_loop
async def test_replies_between_other_messages_are_taken_wherever_a_read_ends(size: int) -> None:
    """Once the library had the beginning of a message, it got all replies behind it, too. With
    many announcements, nearly every read ended within one.
    """
    parsed = Parsed()
    data = b"PING\r\n" + OTHERS + REPLIES + b"+OK\r\nMSG b.c 2 4\r\nMSG \r\n" + REPLIES + OTHERS
    for begin in range(0, len(data), size):
        await parsed.parser.parse(data[begin : begin + size])
    others = [b"b.c 1", b"_INBOX.a.3 2", b"_INBOX.a.4 3"]
    assert parsed.messages == [*others, b"b.c MSG ", *others]
    assert parsed.replies == [("1", b"\r\nx"), ("2", b"")] * 2
    assert parsed.pings == 1


@pytest.mark.parametrize("size", range(1, 30))
@in_loop
async def test_replies_are_taken_behind_what_came_in_part_before(size: int) -> None:
    parsed = Parsed()
    parsed.parser.subject = b""
    data = OTHERS[:16] + REPLIES
    await parsed.parser.parse(data[:size])
    parsed.parser.subject = b"_INBOX.a."
    await parsed.parser.parse(data[size:])
    assert parsed.messages == [b"b.c 1"]
    assert parsed.replies == [("1", b"\r\nx"), ("2", b"")]


@in_loop
async def test_a_control_line_that_nobody_knows_is_an_error_of_the_library() -> None:
    with pytest.raises(ProtocolError):
        await Parsed().parser.parse(REPLIES + b"WHAT\r\n")


@in_loop
async def test_an_event_that_looks_like_a_reply_is_none() -> None:
    parsed = Parsed()
    await parsed.parser.parse(b"MSG b.c 2 %d\r\n" % len(REPLIES))
    await parsed.parser.parse(REPLIES + b"\r\n")
    assert parsed.replies == []
    assert parsed.messages == [b"b.c " + REPLIES]
