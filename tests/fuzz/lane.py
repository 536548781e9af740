"""What a producer's connection reads, on nodes whose lane is shut, open, and waits for a broker.

The bytes are raw, or requests that are almost those of which the node knows the head.
"""

import asyncio
import atexit
import re
from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import Any

from eventhub.brokers.base import OnStored
from eventhub.events.event import NewEvent
from tests.fuzz.source import Source, cut
from tests.harness.virtual_time import turns
from tests.unit.server.http.lane_node import CONFIG, Connection, Node, post, primed

STATUS = re.compile(rb"HTTP/1\.1 ([2-5]\d\d) ")
MOST = 15
"""Requests of one input: those beyond a pipeline are refused, and the lane answers faster."""
PATIENCE = 100
"""Turns of the loop that a request whose body does not end may take to be refused."""
BODIES = (
    b'{"a":1}',
    b"[1,2]",
    b"[1,{]",
    b"1",
    b'"x"',
    b" {}",
    b"[]",
    b"",
    b"\xff",
    b"[[1]]",
    b"12",
)
FIELDS = (
    "Idempotency-Key: k", "Content-Type: text/plain", "Expect: 100-continue", "Connection: close",
    "Transfer-Encoding: chunked", "Content-Length: 3", "X: 1\n Y: 2", "Host: localhost", "A : b",
    "Origin: http://localhost", "Prefer: handling=lenient", "ce-source: /a", " folded", "X: \x00",
)  # fmt: skip
PARTS = (b"\r\n", b"\n", b"0\r\n\r\n", b"2\r\n{}\r\n", b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")


Outcome = tuple[list[bytes], list[bytes]]
"""The statuses of the answers, and the data that was stored."""


def lane(data: bytes) -> None:
    """However the bytes are divided, all nodes give the same answers and store the same events."""
    compared(data)


def compared(data: bytes) -> Outcome:
    """As `lane`. Returns what all nodes do."""
    source = Source(data)
    flags, places = source.byte(), source.take(source.byte() % 32)
    stream = source.rest() if flags & 1 else built(source)
    pieces = list(cut(stream, places)) if flags & 2 and divides(stream) else [stream]
    if stream.count(b"HTTP/1.") > MOST:
        return [], []
    loop, *each = nodes()
    theirs, *others = loop.run_until_complete(outcomes(each, stream, pieces))
    for ours in others:
        assert ours == theirs, (pieces, ours, theirs)
    return theirs


async def outcomes(each: Sequence[Node], stream: bytes, pieces: list[bytes]) -> list[Outcome]:
    """What each node does. The first one, whose lane is shut, reads all bytes at once."""
    shut, *others = each
    return [await outcome(shut, [stream]), *[await outcome(node, pieces) for node in others]]


def divides(stream: bytes) -> bool:
    """Whether the division of the bytes is of no consequence.

    An answer to `Expect` that comes before the body ends the connection (RFC 9110, 10.1.1).
    """
    return len(stream) < 1000 and b"100-continue" not in stream.lower()


def built(source: Source) -> bytes:
    """Requests, most of them almost usual."""
    parts = []
    for _ in range(1 + source.byte() % 6):
        kind = source.byte()
        if kind < 16:
            parts.append(source.pick(PARTS))
            continue
        headers = [source.pick(FIELDS)] if kind < 128 else []
        request = post("raw.a", source.pick(BODIES), *headers)
        if kind & 7 == 0:
            at = source.byte() * 256 + source.byte()
            at %= len(request)
            request = request[:at] + bytes([source.byte()]) + request[at + source.byte() % 2 :]
        parts.append(request)
    return b"".join(parts)


async def outcome(node: Node, pieces: list[bytes]) -> Outcome:
    """The statuses of the answers to these bytes, and the data that they stored."""
    broker: Any = node.app.hub._broker
    broker._logs.clear()
    broker._keys.clear()
    broker._ledger.bytes = 0
    connection = node.connect()
    for piece in pieces:
        if not connection.over:
            connection.protocol.data_received(piece)
            await turns(1)
    await answers_due(connection)
    statuses = STATUS.findall(connection.transport.written)
    stored = [data for log in broker._logs.values() for *_, data, _ in log.events]
    connection.protocol.connection_lost(None)
    await turns(3)
    return statuses, stored


async def answers_due(connection: Connection) -> None:
    """Wait for them, but for the answer to a body that does not end only for a while."""
    requests = connection.protocol._requests._requests
    incomplete = waited = 0
    while requests and incomplete < PATIENCE:
        await turns(1)
        waited += 1
        alone = connection.transport.reading and len(requests._unanswered) == 1
        incomplete = incomplete + 1 if alone and connection.protocol.transport.unread else 0
        assert waited < 100 * PATIENCE, "an answer is due for ever"


def answer_later(node: Node) -> None:
    """Let its broker tell what it stored by a callback, or to a task."""
    hub: Any = node.app.hub
    broker: Any = hub._broker
    now = broker.publish_now
    tasks = deque[asyncio.Task[None]](maxlen=MOST)  # the loop itself does not keep them

    def publish_later(events: Sequence[NewEvent], done: OnStored) -> bool:
        if len(events) > 1:
            return False  # as one that needs more steps for them
        results = [now(event) for event in events]
        asyncio.get_running_loop().call_soon(done, results)
        return True

    broker.publish_later = publish_later
    hub._publishes_now, hub._publishes_later = False, True
    loop = asyncio.get_running_loop()
    hub.publisher._spawn = lambda work, *_: tasks.append(loop.create_task(work))


@cache
def nodes() -> tuple[asyncio.AbstractEventLoop, Node, Node, Node]:
    """A loop, a node whose lane is shut, and two whose lanes know the usual head.

    The broker of the last one answers in a later turn.
    """
    loop = asyncio.new_event_loop()
    atexit.register(loop.close)

    async def build() -> tuple[Node, Node, Node]:
        shut, opened, waiting = Node(CONFIG), Node(CONFIG), Node(CONFIG)
        shut_path: Any = shut.connect().protocol.fast_path
        shut_path.remember = lambda *_: None
        for node in (opened, waiting):
            connection = await primed(node, post())
            assert connection.send(post()), "its head is known"
        answer_later(waiting)
        return shut, opened, waiting

    return loop, *loop.run_until_complete(build())
