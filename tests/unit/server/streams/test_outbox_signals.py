"""server/streams/outbox.py: room for signals, and their form in a stream of several channels."""

from eventhub.delivery.encoding import LINES, signal_json
from eventhub.events.event import Event
from eventhub.events.signal import Signal
from tests.unit.server.streams.test_outbox import Owner, run


def test_signals_may_use_a_quarter_of_the_buffer() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.outbox(100)
        assert (outbox.takes_signal(25), outbox.takes_signal(26)) == (True, False)
        outbox.write(b"x" * 20)
        assert (outbox.takes_signal(5), outbox.takes_signal(6)) == (True, False)
        await outbox.take(1)
        assert outbox.takes_signal(25)

    run(scenario)


def test_in_a_stream_of_several_channels_a_signal_has_no_id_and_the_next_event_has_all() -> None:
    async def scenario(owner: Owner) -> None:
        outbox = owner.cursors({"a.a": "e-1"})
        sent = Signal("a.a", b'{"id":"e-9","n":12345678901234567890}', 0)
        outbox.write(LINES.signal(sent) + LINES.event(Event("b.b", "e", 2, 1, 0, b"1")))
        signal, event = (await outbox.take(1) or b"").split(b"\n\n")[:2]
        assert signal == b"event: signal\ndata: " + signal_json(sent)
        assert event.endswith(b"\nid: a.a@e-1,b.b@e-2")

    run(scenario)
