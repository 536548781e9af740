"""fanout.py: readers that leave, come back or lag while writes are queued."""

import pytest

from eventhub.delivery import fanout as fanout_module
from eventhub.delivery.encoding import EVENT_STREAM, LINES
from tests.unit.delivery.fanout_audience import Audience, Reader


def test_who_leaves_gets_nothing_more_not_even_what_is_under_way() -> None:
    audience = Audience(3)
    audience.push()
    audience.fanout.advance(1)
    audience.push()
    assert [audience.remove(audience.readers[n]) for n in (0, 2)] == [True, True]
    audience.finish()
    assert [reader.told() for reader in audience.readers] == [[1], [1, 2], []]


def test_who_leaves_and_comes_back_during_a_wave_gets_what_is_pushed_after_that() -> None:
    audience = Audience(2)
    audience.push()
    audience.fanout.advance(1)
    audience.remove(audience.readers[1])
    audience.add(audience.readers[1])
    audience.push()
    audience.add()  # makes a wave of what is pending
    audience.finish()
    assert [reader.told() for reader in audience.readers] == [[1, 2], [2]]


def test_who_is_not_there_cannot_leave() -> None:
    audience = Audience(1)
    assert not audience.remove(Reader())
    assert not audience.fanout.remove(audience.readers[0], EVENT_STREAM)


def test_whoever_is_to_lag_gets_what_is_under_way_to_it_and_the_others_wait_for_their_turn() -> (
    None
):
    audience = Audience(6)
    readers = audience.readers
    audience.push()
    audience.fanout.advance(2)
    audience.remove(readers[5])
    audience.add(readers[5])  # and does not get what was under way when it left
    audience.push(2)
    before = [reader.told() for reader in readers]
    assert before == [[1], [1], [], [], [], []]
    for reader in (readers[0], readers[3], readers[5]):
        audience.fanout.settle(reader, LINES)
        audience.remove(reader)
    assert [reader.told() for reader in readers] == [[1, 2, 3], [1], [], [1, 2, 3], [], [2, 3]]
    while audience.fanout.advance(1):
        pass
    assert [reader.told() for reader in readers] == [[1, 2, 3]] * 5 + [[2, 3]]
    assert audience.fanout._removed == {}


def test_who_leaves_and_comes_back_again_and_again_gets_each_event_once_and_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "MAX_REMOVED", 3)
    audience = Audience(4)
    guests = [Reader() for _ in range(50)]
    for guest in guests:
        audience.push()
        audience.fanout.advance(1)
        audience.add(guest)
        audience.push()
        audience.remove(guest)
        for _ in range(8):
            audience.fanout.advance(1)
        audience.push()
        assert len(audience.fanout._removed) <= 4
    audience.finish()
    assert [reader.told() for reader in audience.readers] == [list(range(1, 151))] * 4
    assert [guest.told() for guest in guests] == [[]] * 50


def test_a_settling_write_that_fails_is_reported() -> None:
    audience = Audience(2)
    audience.readers[0].write = lambda data: 1 // 0  # type: ignore[assignment, method-assign]
    broken = audience.add(audience.readers[0])
    audience.push()
    audience.fanout.settle(broken, LINES)
    assert audience.failed == [broken]


def test_a_channel_that_everybody_left_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 3)
    audience = Audience(2)
    audience.push(4)
    audience.fanout.advance(1)
    audience.push(4)
    for reader in audience.readers:
        audience.remove(reader)
    audience.finish()
    assert audience.fanout._queued_bytes == audience.fanout._pending_bytes == 0


@pytest.mark.parametrize("written", [0, 1, 2])
def test_a_reader_that_lags_gets_nothing_that_was_queued_before_it_joined(written: int) -> None:
    audience = Audience(3)
    audience.push()
    late = audience.add()
    for _ in range(written):
        audience.fanout.advance(1)
    audience.fanout.settle(late, LINES)
    assert late.told() == []


def test_readers_that_leave_while_nothing_is_queued_are_not_remembered() -> None:
    audience = Audience(3)
    for reader in audience.readers:
        assert audience.remove(reader)
    assert audience.fanout._removed == {}


def test_an_encoding_that_nobody_reads_any_more_is_not_built() -> None:
    audience = Audience(1)
    stream = Reader()
    audience.fanout.add(stream, EVENT_STREAM, stream.write)
    assert audience.fanout.keys() == [audience.readers[0], stream]
    audience.remove(audience.readers[0])
    audience.push()
    audience.finish()
    assert (audience.fanout._queued_count, len(stream.writes)) == (1, 1)
    assert audience.fanout
    audience.fanout.remove(stream, EVENT_STREAM)
    assert not audience.fanout


class Filling(Reader):
    """Its buffer is full with the first write. Its owner settles it at once, inside the call."""

    def __init__(self, audience: Audience) -> None:
        super().__init__()
        self.audience = audience

    def write(self, data: bytes) -> None:
        super().write(data)
        if len(self.writes) == 1:
            self.audience.fanout.settle(self, LINES)
            self.audience.remove(self)


def test_a_reader_that_is_settled_while_it_is_written_to_gets_nothing_twice() -> None:
    audience = Audience(1)
    filling = audience.add(Filling(audience))
    audience.push(1)
    audience.fanout.advance(1)
    audience.push(2)
    audience.finish()
    assert audience.readers[0].told() == [1, 2, 3]
    assert filling.told() == [1, 2, 3], "the rest was written when it was settled"


def test_who_left_is_remembered_while_a_queued_write_would_go_to_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "MAX_REMOVED", 0)
    audience = Audience(2)
    for _ in range(3):
        audience.push()
        audience.add()  # makes a write of what is pending
        if audience.number == 2:
            audience.remove(audience.readers[1])
    audience.finish()
    assert [reader.told() for reader in audience.readers] == [[1, 2, 3], []]


@pytest.mark.parametrize(("most", "left"), [(2, 0), (3, 3)])
def test_of_many_that_left_those_are_forgotten_that_no_queued_write_concerns(
    monkeypatch: pytest.MonkeyPatch, most: int, left: int
) -> None:
    monkeypatch.setattr(fanout_module, "MAX_REMOVED", most)
    audience = Audience(5)
    audience.push()
    audience.fanout.encode()
    for reader in audience.readers[:3]:
        audience.remove(reader)
    audience.push()
    audience.fanout.encode()
    assert audience.fanout.advance(5) > 0
    assert len(audience.fanout._removed) == left
    audience.finish()
    assert audience.fanout._removed == {}
    assert [reader.told() for reader in audience.readers] == [[]] * 3 + [[1, 2]] * 2
