"""fanout.py: who gets what, in which order, and in how many writes."""

from collections.abc import Callable

import pytest

from eventhub.delivery import fanout as fanout_module
from eventhub.delivery.encoding import EVENT_STREAM, LINES, Encoding
from eventhub.delivery.fanout import DeliveryCounters, Fanout
from eventhub.events.event import Event


class Reader:
    """A writer that remembers."""

    def __init__(self, room: int = 1_000_000) -> None:
        self.writes: list[bytes] = []
        self.room = room

    @property
    def writer(self) -> "Reader":
        return self

    def takes_signal(self, size: int) -> bool:
        return size <= self.room

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def told(self) -> list[int]:
        return [
            int(line.split(b'"data":')[1].rstrip(b"}\n"))
            for write in self.writes
            for line in write.splitlines(keepends=True)
        ]


class Audience:
    """A fan-out with readers that are keys of their own."""

    def __init__(self, count: int = 0) -> None:
        self.counters = DeliveryCounters()
        self.fanout = Fanout(self.counters, self)
        self.failed: list[Reader] = []
        self.number = 0
        self.readers = [self.add() for _ in range(count)]

    def add(self, reader: Reader | None = None) -> Reader:
        reader = reader or Reader()
        self.fanout.add(reader, LINES, reader.write)
        return reader

    def remove(self, reader: Reader) -> bool:
        return self.fanout.remove(reader, LINES)

    def finish(self) -> None:
        while self.fanout.advance(1000):
            pass

    def serving_failed(self, key: Reader, error: Exception) -> None:
        self.failed.append(key)
        self.remove(key)

    def replacement_for(self, encoding: Encoding, event: Event, error: Exception) -> bytes:
        return b'{"data":0}\n'

    def push(self, count: int = 1) -> None:
        for _ in range(count):
            self.number += 1
            self.fanout.push(
                Event("a.a", "e", self.number, self.number - 1, 0, str(self.number).encode())
            )


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
