"""server/http/reader.py: how much of a body in tiny chunks one turn parses.

The rest is tested with a real server (integration/test_http.py).
"""

import asyncio
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from eventhub.server.connections.fair_queue import FairQueue
from eventhub.server.connections.request_starts import RequestStarts
from eventhub.server.http.protocol import HttpProtocol
from eventhub.server.http.reader import PIECE_BYTES
from eventhub.server.websocket.known_handshakes import KnownHandshakes
from tests.harness.transport import RecordedTransport

HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = 40_000


def test_a_read_full_of_tiny_chunks_is_parsed_in_many_turns_and_nothing_is_read_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = count()
    monkeypatch.setattr(
        "eventhub.server.http.reader.thread_time", lambda: float(next(clock))
    )  # each piece takes long
    asyncio.run(_parse())


async def _parse() -> None:
    loop, transport, bodies = asyncio.get_running_loop(), RecordedTransport(), list[bytes]()
    done = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        more = True
        while more:
            message = await receive()
            more = message["more_body"]
            bodies.append(message["body"])
            assert transport.reading is not more  # asking for more does not make it read more
        done.set()
        await loop.create_future()

    fair_queue = FairQueue(loop)
    manager: Any = SimpleNamespace(
        fair_queue=fair_queue,
        request_starts=RequestStarts(fair_queue, loop),
        connection_limits=SimpleNamespace(connect=lambda address: None),
        settings=SimpleNamespace(limits=SimpleNamespace(head_seconds=60)),
        hub=SimpleNamespace(draining=False),
    )
    bound: Any = type(
        "Bound",
        (HttpProtocol,),
        {
            "manager": manager,
            "fast_path": SimpleNamespace(),
            "handshakes": KnownHandshakes(),
            "rejected": set(),
        },
    )
    state = ServerState()
    protocol = bound(SimpleNamespace(loaded_app=app), state, {}, loop)
    protocol.connection_made(transport)
    protocol.data_received(HEAD + b"1\r\n \r\n" * CHUNKS + b"0\r\n\r\n")
    async with asyncio.timeout(30):
        await done.wait()
    assert sum(map(len, bodies)) == CHUNKS
    assert max(map(len, bodies)) <= PIECE_BYTES // 6 + 1
    for task in state.tasks:
        task.cancel()
