"""brokers/nats/signals.py: signals on the subjects that announce their channels, in no stream."""

import pytest

from eventhub.brokers.nats import signals as signals_module
from eventhub.brokers.nats.signals import HEADER, NatsSignals
from eventhub.brokers.signals import encode
from eventhub.errors import BrokerUnavailable
from eventhub.events.signal import Signal
from tests.harness.eventually import async_eventually
from tests.harness.loop import in_loop
from tests.unit.brokers.nats.brokers import Node
from tests.unit.brokers.nats.links import SUBJECTS, add_stream, linked, nothing, put
from tests.unit.brokers.nats.server import FakeNats
from tests.unit.brokers.nats.sessions import Told, session_on

SIGNAL = Signal("log.a", b"7", 1000, {"by": "ana"})
SUBJECT = "p.live.log.a"


@in_loop
async def test_a_signal_is_heard_beside_events_and_moves_no_position() -> None:
    server, told = FakeNats(), Told()
    add_stream(server)
    async with session_on(server, told) as session:
        await session.open("log.a")
        put(server, "log.a", b"1")
        session.signals.send(SIGNAL)
        await async_eventually("the signal", lambda: told.signals == [SIGNAL])
        before = session.announced_position("log.a")
        server.emit(SUBJECT, encode(SIGNAL), {HEADER: "1"})
        await async_eventually("another", lambda: told.signals == [SIGNAL, SIGNAL])
        assert session.announced_position("log.a") == before
        put(server, "log.a", b"2")
        await async_eventually("the events", lambda: told.texts == [b"1", b"2"])
        assert told.gaps == []
        assert server.told.count(f"HPUB {SUBJECT} ") == 1


@in_loop
async def test_one_that_cannot_be_read_is_left_out() -> None:
    server, told = FakeNats(), Told()
    add_stream(server)
    async with session_on(server, told) as session:
        await session.open("log.a")
        server.emit(SUBJECT, b"nonsense", {HEADER: "1"})
        server.emit(SUBJECT, encode(SIGNAL), {HEADER: "1"})
        await async_eventually("the other one", lambda: told.signals == [SIGNAL])
        assert (told.gaps, session.link.callback_error) == ([], None)


@in_loop
async def test_while_the_server_takes_nothing_signals_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals_module, "UNSENT_BYTES", 200)
    async with linked(FakeNats()) as link:
        signals = NatsSignals(link, SUBJECTS, nothing)
        while link.unsent_bytes <= 200:  # nothing is flushed before the next turn of the loop
            signals.send(SIGNAL)
        with pytest.raises(BrokerUnavailable, match="bytes wait for the NATS server"):
            signals.send(SIGNAL)
        await async_eventually("room again", lambda: link.unsent_bytes == 0)
        signals.send(SIGNAL)


@in_loop
async def test_over_a_link_that_has_ended_it_is_refused() -> None:
    async with linked(FakeNats()) as link:
        await link.close()
        with pytest.raises(BrokerUnavailable):
            NatsSignals(link, SUBJECTS, nothing).send(SIGNAL)


@in_loop
async def test_without_a_connection_it_is_refused() -> None:
    server = FakeNats()
    server.port = 1
    with pytest.raises(BrokerUnavailable, match="not connected to NATS"):
        Node(server).broker.signal(SIGNAL)
