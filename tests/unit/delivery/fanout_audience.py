"""A fan-out with readers that remember what they were given, for tests."""

from eventhub.delivery.counters import DeliveryCounters
from eventhub.delivery.encoding import LINES, Encoding
from eventhub.delivery.fanout import Fanout
from eventhub.delivery.filtering import Selected
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
        self.selected: list[tuple[int, int, int]] = []
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

    def filtered(self, found: Selected, readers: int) -> None:
        self.selected.append((len(found.matched), len(found.failed), readers))

    def replacement_for(self, encoding: Encoding, event: Event, error: Exception) -> bytes:
        return b'{"data":0}\n'

    def push(self, count: int = 1) -> None:
        for _ in range(count):
            self.number += 1
            self.fanout.push(
                Event("a.a", "e", self.number, self.number - 1, 0, str(self.number).encode())
            )
