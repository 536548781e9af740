"""fanout.py: who gets what, in which order, and in how many writes."""

from collections.abc import Callable

import pytest

from eventhub.delivery import fanout as fanout_module
from eventhub.delivery.encoding import EVENT_STREAM
from eventhub.events.event import Event
from tests.unit.delivery.fanout_audience import Audience, Reader


def test_what_arrives_together_is_one_write() -> None:
    audience = Audience(3)
    audience.push(4)
    assert audience.fanout.advance(100) == 3
    assert [reader.told() for reader in audience.readers] == [[1, 2, 3, 4]] * 3
    assert [len(reader.writes) for reader in audience.readers] == [1] * 3
    assert audience.fanout.advance(100) == 0


def test_a_slice_is_as_large_as_asked_for_and_the_rest_follows() -> None:
    audience = Audience(5)
    audience.push()
    assert [audience.fanout.advance(2) for _ in range(4)] == [2, 2, 1, 0]
    assert [reader.told() for reader in audience.readers] == [[1]] * 5


def test_what_comes_during_a_wave_goes_out_behind_it_joined() -> None:
    audience = Audience(2)
    audience.push()
    audience.fanout.advance(1)
    audience.push(3)
    audience.finish()
    assert [len(reader.writes) for reader in audience.readers] == [2, 2]
    assert [reader.told() for reader in audience.readers] == [[1, 2, 3, 4]] * 2


@pytest.mark.parametrize("written", [0, 1, 2])
def test_who_joins_gets_what_is_pushed_from_then_on(written: int) -> None:
    audience = Audience(2)
    audience.push()
    if written:
        audience.fanout.advance(written)
    audience.push()
    late = audience.add()
    audience.push()
    audience.finish()
    assert late.told() == [3]
    assert [reader.told() for reader in audience.readers] == [[1, 2, 3]] * 2


def test_a_message_to_all_comes_behind_what_is_queued() -> None:
    audience = Audience(2)
    audience.push()
    assert audience.fanout.broadcast(lambda encoding: b"now\n") == 2
    assert [reader.writes for reader in audience.readers] == [[], []], "it has its turns, too"
    while audience.fanout.advance(1):
        pass
    assert [reader.writes[-1] for reader in audience.readers] == [b"now\n"] * 2
    assert [reader.writes[0] for reader in audience.readers] == [
        reader.writes[0] for reader in audience.readers
    ]
    assert [len(reader.writes) for reader in audience.readers] == [2, 2]


def test_large_writes_are_worth_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fanout_module, "WRITE_BYTES", 20)
    audience = Audience(10)
    audience.push()
    spent = audience.fanout.advance(12)
    written = sum(bool(reader.writes) for reader in audience.readers)
    worth = 1 + len(audience.readers[0].writes[0]) // 20
    assert worth > 1
    assert (spent, written) == (12 // worth * worth, 12 // worth)
    assert audience.fanout.advance(1) == worth, "one write at least"


def test_each_encoding_is_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []

    class Counting:
        def event(self, event: Event) -> bytes:
            built.append(event.offset)
            return b"x"

        message: Callable[..., bytes]
        signal: Callable[..., bytes]

    audience = Audience(2)
    encoding = Counting()
    for _ in range(3):
        audience.fanout.add(Reader(), encoding, Reader().write)
    audience.push(2)
    audience.finish()
    assert built == [1, 2]
    assert audience.counters.delivered == 2 * 5


def test_there_is_room_until_so_much_is_queued_and_again_when_it_has_been_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout_module, "QUEUED_BYTES", 3)
    audience = Audience(2)
    fanout = audience.fanout
    audience.push(3)
    assert fanout.has_room
    audience.push()
    assert not fanout.has_room
    assert [reader.writes for reader in audience.readers] == [[], []], (
        "nothing is written by a push"
    )
    assert fanout.advance(1) == 1
    assert not fanout.has_room, "one still has to get it"
    assert fanout.advance(1) == 1
    assert fanout.has_room
    fanout.broadcast(lambda encoding: b"gap\n")
    assert not fanout.has_room
    audience.finish()
    assert fanout.has_room
    assert fanout._queued_bytes == fanout._pending_bytes == 0


def test_events_are_handed_back_once_the_last_of_all_has_them() -> None:
    audience = Audience(2)
    audience.fanout.add("s", EVENT_STREAM, Reader().write)
    audience.push(2)
    seen = []
    while audience.fanout.advance(1):
        seen.append(len(audience.fanout.written))
    assert seen == [0, 0, 2]


def test_events_pushed_while_a_write_is_under_way_wait_and_are_joined() -> None:
    audience = Audience(2)
    audience.push()
    audience.fanout.advance(1)
    audience.push()
    audience.fanout.advance(1)
    audience.push()
    audience.finish()
    assert [len(reader.writes) for reader in audience.readers] == [2, 2]
    assert [reader.told() for reader in audience.readers] == [[1, 2, 3]] * 2


def test_there_is_work_until_the_last_reader_has_been_written_to() -> None:
    audience = Audience(2)
    assert not audience.fanout.due
    audience.push()
    assert audience.fanout.due
    audience.fanout.advance(1)
    assert audience.fanout.due
    audience.fanout.advance(1)
    assert not audience.fanout.due


def test_events_are_kept_for_the_owner_until_it_takes_them() -> None:
    audience = Audience(1)
    for _ in range(2):
        audience.push()
        audience.finish()
    assert [event.offset for event in audience.fanout.written] == [1, 2]


def test_a_write_that_fails_is_reported_and_costs_no_other_reader_anything() -> None:
    audience = Audience(2)
    broken = audience.add(Broken())
    last = audience.add()
    audience.push()
    audience.finish()
    assert audience.failed == [broken]
    assert [reader.told() for reader in (*audience.readers, last)] == [[1]] * 3


class Broken(Reader):
    def write(self, data: bytes) -> None:
        raise ZeroDivisionError("a fault of ours")
