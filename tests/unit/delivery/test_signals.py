"""delivery/signals.py: signals are written behind all events, and only where there is room."""

import orjson
import pytest

from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.encoding import DEFLATE, EVENT_STREAM, LINES, WEBSOCKET, signal_json
from eventhub.delivery.fanout import QUEUED_BYTES
from eventhub.delivery.signals import OVERHEAD, WAITING_BYTES, SignalQueue
from eventhub.events.signal import Signal
from tests.unit.delivery.fanout_audience import Audience, Reader

TIME = 1_795_377_960_123


def signal(data: bytes = b"1") -> Signal:
    return Signal("a.a", data, TIME)


def send(audience: Audience, sent: Signal) -> bool:
    return audience.fanout.signal(sent, audience.counters)


def lines(reader: Reader) -> list[str]:
    """Events and signals in the order in which they were written, as `event 1`."""
    messages = map(orjson.loads, b"".join(reader.writes).splitlines())
    return [f"{message['type']} {message['data']}" for message in messages]


def test_a_signal_says_its_channel_time_and_data_and_who_sent_it() -> None:
    sent = Signal("a.a", b'{"n":1}', TIME, {"by": "ana", "subject": "s"})
    assert orjson.loads(signal_json(sent)) == {
        "type": "signal",
        "channel": "a.a",
        "time": "2026-11-22T20:06:00.123Z",
        "data": {"n": 1},
        "by": "ana",
        "attributes": {"subject": "s"},
    }
    assert set(orjson.loads(signal_json(signal()))) == {"type", "channel", "time", "data"}


def test_every_transport_has_its_form_of_a_signal_and_none_has_an_id() -> None:
    line = signal_json(signal())
    assert LINES.signal(signal()) == line + b"\n"
    assert WEBSOCKET.signal(signal()) == bytes((0x81, len(line))) + line
    assert DEFLATE.signal(signal()) == WEBSOCKET.signal(signal())
    assert EVENT_STREAM.signal(signal()) == b"event: signal\ndata: " + line + b"\n\n"


def test_signals_that_arrive_together_are_one_write_in_their_order() -> None:
    audience = Audience(3)
    begins = [send(audience, signal(b"%d" % number)) for number in range(3)]
    assert begins == [True, False, False], "the first one makes work"
    assert audience.fanout.due
    audience.finish()
    assert [lines(reader) for reader in audience.readers] == [
        ["signal 0", "signal 1", "signal 2"]
    ] * 3
    assert [len(reader.writes) for reader in audience.readers] == [1] * 3
    assert (audience.counters.signals, audience.counters.delivered) == (9, 0)
    assert not audience.fanout.due


def test_nobody_waits_for_the_signals_of_a_channel_without_live_subscribers() -> None:
    audience = Audience()
    assert not send(audience, signal())
    assert not audience.fanout.due
    reader = audience.add()
    audience.finish()
    assert reader.writes == []


def test_events_are_written_before_signals_and_joined_as_if_there_were_none() -> None:
    audience = Audience(2)
    audience.push()
    assert not send(audience, signal(b"7")), "the event has made work already"
    audience.push(2)
    audience.finish()
    for reader in audience.readers:
        assert lines(reader) == ["event 1", "event 2", "event 3", "signal 7"]
        assert len(reader.writes) == 2


def test_events_do_not_wait_for_signals_that_are_being_written() -> None:
    audience = Audience(4)
    send(audience, signal(b"7"))
    assert audience.fanout.advance(2) == 2
    audience.push()
    assert audience.fanout.advance(4) == 4
    assert [lines(reader) for reader in audience.readers] == [
        ["signal 7", "event 1"],
        ["signal 7", "event 1"],
        ["event 1"],
        ["event 1"],
    ]
    audience.finish()
    assert [lines(reader)[-1] for reader in audience.readers[2:]] == ["signal 7"] * 2


def test_signals_take_no_room_from_events() -> None:
    audience = Audience(1)
    for _ in range(2 * QUEUED_BYTES // 1000):
        send(audience, signal(b'"%b"' % (b"x" * 1000)))
    assert audience.fanout.has_room


def test_a_reader_without_room_gets_no_signal_and_all_events() -> None:
    audience = Audience(1)
    size = len(LINES.signal(signal()))
    full, roomy = audience.add(Reader(size - 1)), audience.add(Reader(size))
    send(audience, signal())
    audience.finish()
    audience.push(2)
    audience.finish()
    assert lines(full) == ["event 1", "event 2"]
    assert lines(roomy) == ["signal 1", "event 1", "event 2"]
    assert (audience.counters.signals, audience.counters.signals_dropped) == (2, {"slow": 1})
    assert audience.failed == []


@pytest.mark.parametrize("written", [0, 1])
def test_who_leaves_gets_no_signal_not_even_one_that_is_being_written(written: int) -> None:
    audience = Audience(2)
    send(audience, signal())
    if written:
        audience.fanout.advance(written)
    gone = audience.readers[1]
    audience.remove(gone)
    audience.finish()
    assert gone.writes == []
    assert lines(audience.readers[0]) == ["signal 1"]
    assert audience.counters.signals == 1
    assert audience.counters.signals_dropped["slow"] == 0


def test_when_everybody_has_left_the_signals_are_forgotten() -> None:
    audience = Audience(1)
    send(audience, signal())
    audience.remove(audience.readers[0])
    audience.finish()
    assert not audience.fanout.due
    late = audience.add()
    audience.finish()
    assert late.writes == []


def test_a_writer_that_raises_ends_its_own_connection_only() -> None:
    class Broken(Reader):
        def write(self, data: bytes) -> None:
            raise OSError

    audience = Audience(1)
    broken = audience.add(Broken())
    send(audience, signal())
    audience.finish()
    assert audience.failed == [broken]
    assert lines(audience.readers[0]) == ["signal 1"]
    assert audience.counters.signals == 1


def test_each_encoding_is_built_once_for_all_its_readers() -> None:
    audience = Audience(2)
    other = Reader()
    audience.fanout.add(other, WEBSOCKET, other.write)
    send(audience, signal())
    audience.finish()
    first, second = audience.readers
    assert first.writes[0] is second.writes[0]
    assert other.writes == [WEBSOCKET.signal(signal())]


def test_when_too_many_wait_the_oldest_are_dropped() -> None:
    queue, counters = SignalQueue(), DeliveryCounters()

    def push(sent: Signal) -> int:
        """How many were dropped for it."""
        before = counters.signals_dropped["busy"]
        queue.push(sent, counters, 1)
        return counters.signals_dropped["busy"] - before

    quarter = signal(b'"%b"' % (b"x" * (WAITING_BYTES // 4 - 2 - OVERHEAD)))
    assert [push(quarter) for _ in range(4)] == [0, 0, 0, 0]
    assert push(signal()) == 1
    assert push(quarter) == 1
    large = signal(b'"%b"' % (b"x" * WAITING_BYTES))
    assert push(large) == 4, "the newest one stays, whatever its size"
    assert push(signal()) == 1
    attributes = {"subject": "s" * (WAITING_BYTES // 2)}
    assert push(quarter._replace(attributes=attributes)) == 0
    assert push(quarter._replace(attributes=attributes)) == 2, "attributes count, too"


def test_signals_that_are_being_written_take_their_room_until_all_have_them() -> None:
    audience = Audience(2)
    large = signal(b'"%b"' % (b"x" * WAITING_BYTES))
    send(audience, large)
    assert audience.fanout.advance(1) == 1
    send(audience, signal(b"1"))
    assert audience.counters.signals_dropped["busy"] == 2
    audience.finish()
    send(audience, signal(b"2"))
    audience.finish()
    assert [lines(reader)[1:] for reader in audience.readers] == [["signal 2"]] * 2


def test_who_joins_gets_the_signals_that_come_from_then_on() -> None:
    audience = Audience(1)
    send(audience, signal(b"1"))
    late = audience.add()
    send(audience, signal(b"2"))
    audience.finish()
    assert lines(late) == ["signal 2"]
    assert lines(audience.readers[0]) == ["signal 1", "signal 2"]
    assert audience.counters.signals == 3


def test_who_joins_again_and_again_makes_no_signal_wait_beyond_the_bound() -> None:
    audience = Audience(1)
    quarter = signal(b'"%b"' % (b"x" * (WAITING_BYTES // 4 - 2 - OVERHEAD)))
    for _ in range(10):
        send(audience, quarter)
        audience.remove(audience.add())
    audience.finish()
    assert len(lines(audience.readers[0])) == 4


def test_signals_that_are_dropped_are_counted_once_for_each_reader() -> None:
    audience = Audience(3)
    data = b'"%b"' % (b"x" * WAITING_BYTES)
    for _ in range(3):
        send(audience, signal(data))
    assert audience.counters.signals_dropped == {"busy": 6}
    audience.finish()
    assert audience.counters.signals == 3


def test_a_signal_that_is_dropped_counts_for_its_own_channel_type() -> None:
    queue, first, second = SignalQueue(), DeliveryCounters(), DeliveryCounters()
    large = signal(b"1" * (WAITING_BYTES // 2))
    queue.push(large, first, 3)
    queue.push(large, second, 2)
    assert (first.signals_dropped, second.signals_dropped) == ({"busy": 2}, {})


def test_signals_that_were_written_take_no_room() -> None:
    audience = Audience(1)
    for number in range(20):
        send(audience, signal(b'"%b"' % (b"1" * (WAITING_BYTES // 4))))
        audience.finish()
        assert audience.counters.signals == number + 1
    assert audience.counters.signals_dropped.total() == 0
