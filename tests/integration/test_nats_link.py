"""The link to a NATS server in cases where the client library does not notice, or does not say,
that the connection is useless.
"""

import asyncio
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
import uvloop
from nats.aio.msg import Msg

from eventhub.brokers.nats import NatsBroker
from eventhub.brokers.nats.link import NatsLink
from eventhub.brokers.nats.pending_replies import Reply
from eventhub.errors import BrokerUnavailable
from eventhub.events.channel_types import Retention
from eventhub.events.event import NewEvent
from eventhub.hub.hub import Hub
from tests.harness import nats_servers
from tests.harness.eventually import async_eventually

INFO = (
    b'INFO {"server_id":"x","version":"2.9.10","proto":1,"headers":true,"max_payload":67108864}\r\n'
)
MANY = 1100
"""More than the client library has places for flushes."""


def nothing(what: object) -> None:
    """Do nothing."""


async def ignore(message: Msg) -> None:
    """Ignore the message."""


def send(port: int, line: bytes) -> None:
    """Send a raw message, and wait until the server has processed it."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.settimeout(10)
        connection.sendall(b'CONNECT {"verbose":false,"headers":true}\r\n' + line + b"\r\nPING\r\n")
        with connection.makefile("rb") as answers:
            while (answer := answers.readline()) != b"PONG\r\n":
                assert answer.startswith(b"INFO "), answer


@pytest.mark.parametrize(
    "line", [b"PUB %s \xff 2\r\n{}", b"HPUB %s 4 4\r\nNATS"], ids=["reply", "headers"]
)
def test_a_message_that_the_client_library_cannot_read_ends_only_the_broker_connection(
    line: bytes,
) -> None:
    server, prefix = nats_servers.single(), secrets.token_hex(4)
    broker = NatsBroker(
        f"{server.url}?prefix={prefix}", lambda channel: Retention(100, None), Hub.now
    )
    heard: list[bytes] = []
    gaps: list[str] = []

    async def main() -> None:
        running = asyncio.create_task(
            broker.run(lambda event: heard.append(event.data), gaps.append, nothing, nothing)
        )
        await broker.subscribe("log.a")
        await async_eventually("it to be ready", lambda: broker.unready() is None)
        first = broker._session
        assert first is not None
        gaps.clear()
        await asyncio.to_thread(send, server.port, line % f"{prefix}.nodes".encode())
        await async_eventually(
            "another session",
            lambda: broker._session not in (None, first) and broker.unready() is None,
        )
        second = broker._session
        assert gaps == ["log.a"]
        await broker.publish([NewEvent("log.a", b"1", Hub.now())])
        await async_eventually("what was said", lambda: heard == [b"1"])
        assert broker._session is second
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


def test_waiting_calls_fail_at_once_when_the_client_library_stops_reading() -> None:
    server, subject = nats_servers.single(), secrets.token_hex(4)

    async def scenario(link: NatsLink) -> None:
        await link.listen(subject, ignore)
        # it is sent after the subscription, while the library's ping overtakes unflushed commands
        await link.request("INFO")
        link._replies.expect("t", answers.append)
        await asyncio.to_thread(send, server.port, b"PUB %s \xff 0\r\n" % subject.encode())
        await asyncio.wait_for(link.closed.wait(), 30)
        assert answers == [None]
        with pytest.raises(BrokerUnavailable):
            await link.ping()

    answers: list[Reply | None] = []
    asyncio.run(linked(server.port, scenario))


def test_the_acknowledgements_of_a_server_are_plain_replies() -> None:
    """A server writes two spaces before the size of a reply. `PlainReplies` expected one once, so
    that the client library read all acknowledgements.
    """
    server, prefix = nats_servers.single(), secrets.token_hex(4)

    async def scenario(link: NatsLink) -> None:
        subjects = [f"{prefix}.{number}" for number in range(2)]
        await link.request(f"STREAM.CREATE.{prefix}", {"name": prefix, "subjects": subjects})
        library: Any = link._client.library
        library._process_msg = unread.append
        for number, subject in enumerate(subjects, 1):
            assert (await link.store_one(subject, b"1", {}))["seq"] == number

    unread: list[object] = []
    asyncio.run(linked(server.port, scenario))
    assert unread == []


def test_a_broker_that_reads_nothing_holds_each_call_no_longer_than_its_time_limit() -> None:
    """No call waits for a place in the client library's queue, where no time limit and no
    cancellation would reach it.
    """

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(INFO)
        await reader.readuntil(b"PING\r\n")
        writer.write(b"PONG\r\n")
        await over.wait()
        writer.transport.abort()
        gone.set()

    async def scenario(link: NatsLink) -> None:
        await link.publish("a", bytes(32 * 1024 * 1024))
        await ended(*(link.listen(f"a.{n}", ignore) for n in range(MANY)))
        (ping,) = await ended(link.ping())
        assert isinstance(ping.exception(), BrokerUnavailable)

    async def main() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            try:
                await linked(server.sockets[0].getsockname()[1], scenario)
            finally:
                over.set()
                await gone.wait()

    over, gone = asyncio.Event(), asyncio.Event()
    asyncio.run(main())


@pytest.mark.parametrize("what", ["ping", "publish"])
def test_a_transport_that_closed_before_the_client_library_noticed_is_a_lost_connection(
    what: str,
) -> None:
    async def scenario(link: NatsLink) -> None:
        await link.ping()
        writer = getattr(link._client.library._transport, "_io_writer", None)
        assert writer is not None
        writer.transport.abort()
        if what == "publish":
            await link.publish(
                "a", b"1"
            )  # the client's flusher ends at the closed transport, before its reader does
        await asyncio.sleep(0)
        with pytest.raises(BrokerUnavailable):
            await (link.ping() if what == "ping" else link.publish("a", b"2"))
        await asyncio.wait_for(link.closed.wait(), 30)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(linked(nats_servers.single().port, scenario))


async def linked(port: int, scenario: Callable[[NatsLink], Awaitable[None]]) -> None:
    link = NatsLink(nothing)
    await link.open(f"nats://127.0.0.1:{port}", {})
    try:
        await scenario(link)
    finally:
        await link.close()


async def ended(*calls: Coroutine[Any, Any, object]) -> list[asyncio.Task[object]]:
    """Wait until the calls have ended.

    Not with `asyncio.timeout`, because a call that it cancels may go on.
    """
    tasks = [asyncio.create_task(call) for call in calls]
    _, late = await asyncio.wait(tasks, timeout=30)
    assert not late
    return tasks
