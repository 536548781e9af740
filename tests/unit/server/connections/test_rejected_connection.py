"""server/connections/rejected_connection.py: the answer is sent, and the client can read it."""

from asyncio import sleep

from eventhub.server.connections.rejected_connection import (
    LINGER_SECONDS,
    LINGERING,
    RejectedConnection,
)
from tests.harness.transport import RecordedTransport
from tests.harness.virtual_time import in_virtual_time


@in_virtual_time
async def test_it_lingers_for_a_moment_and_is_then_cut_off() -> None:
    others: set[RejectedConnection] = set()
    transport = RecordedTransport()
    rejected = RejectedConnection(transport, b"no", others)
    assert (transport.written, transport.ended, others) == (b"no", True, {rejected})
    await sleep(LINGER_SECONDS - 0.01)
    assert not transport.closed
    await sleep(0.02)
    assert transport.aborted
    rejected.connection_lost(None)
    assert others == set()


@in_virtual_time
async def test_a_client_that_leaves_stops_the_timer() -> None:
    others: set[RejectedConnection] = set()
    transport = RecordedTransport()
    RejectedConnection(transport, b"", others).connection_lost(None)
    await sleep(2 * LINGER_SECONDS)
    assert (transport.writes, transport.aborted, others) == ([], False, set())


@in_virtual_time
async def test_so_many_linger_and_others_are_closed_at_once() -> None:
    others: set[RejectedConnection] = set()
    transports = [RecordedTransport() for _ in range(LINGERING + 1)]
    rejected = [RejectedConnection(transport, b"no", others) for transport in transports]
    assert [transport.closed for transport in transports] == [False] * LINGERING + [True]
    assert transports[-1].written == b"no"
    rejected[-1].connection_lost(None)
    assert len(others) == LINGERING


@in_virtual_time
async def test_under_tls_it_is_closed_at_once() -> None:
    others: set[RejectedConnection] = set()
    transport = RecordedTransport(can_end=False)
    rejected = RejectedConnection(transport, b"no", others)
    assert (transport.written, transport.closed, transport.aborted) == (b"no", True, False)
    rejected.connection_lost(None)
    assert others == set()
