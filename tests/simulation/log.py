"""A channel's log at the model broker, with the memory of everything that it ever held."""

from dataclasses import dataclass

from eventhub.errors import EventHubError, IdempotencyConflict
from eventhub.events.event import Age, Event, HistoryPage, Last, NewEvent, Position, Receipt
from tests.harness.builders import Asked, ModelLog

JUMP = 1000
"""Offsets that are skipped after the end of a log was lost."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What a publish came to: its answer, and what is announced, if anything."""

    answer: Receipt | EventHubError
    announcement: Event | None = None


class Log(ModelLog):
    """Keeps the newest `keep` events, and the idempotency keys of its epoch."""

    def __init__(self, channel: str, epoch: str, keep: int) -> None:
        super().__init__(channel, epoch, keep)
        self.events: dict[Position, Event] = {}
        """Everything that was ever stored."""
        self.epochs = {epoch: 0}
        """In the order in which they began."""
        self.lost: set[Position] = set()
        """Stored events that a failover lost."""
        self.unseen = False
        """The log lost something, and no node can know before the next event."""
        self._keys: dict[str, tuple[Receipt, bytes]] = {}
        self._jumps = False

    def append(self, new: NewEvent, step: int) -> Stored:
        """Store an event, unless its key is known."""
        if new.key is not None and (known := self._keys.get(new.key)) is not None:
            if known[1] != new.data:
                return Stored(IdempotencyConflict(str(known[0].position)))
            return Stored(known[0]._replace(replayed=True))
        self.unseen = False
        jump, offset = self._jumps, self.tip + step
        if jump:
            offset = max(place.offset for place in self.events if place.epoch == self.epoch) + JUMP
        event = Event(
            self.channel, self.epoch, offset, self.tip, new.time, new.data, new.attributes
        )
        self.past[self.epoch].append(event)
        self.events[event.position] = event
        self.tip = offset
        self.trim(self.keep)
        receipt = Receipt(event.position, new.time)
        if new.key is not None:
            self._keys[new.key] = receipt, new.data
        self._jumps = False
        # The first announcement after a loss names a predecessor that no reader has.
        return Stored(receipt, event._replace(previous=offset - 1) if jump else event)

    def reset(self, epoch: str) -> None:
        super().reset(epoch)
        self.epochs[epoch] = len(self.epochs)
        self._keys.clear()
        self._jumps = False
        self.unseen = True

    def lose_end(self, count: int) -> None:
        """A failover: the newest events are gone, and their offsets are not used again."""
        retained = self.retained
        if not retained:
            return
        gone = retained[-count:]
        del self.past[self.epoch][-len(gone) :]
        self.lost |= {event.position for event in gone}
        self._keys = {
            key: known for key, known in self._keys.items() if known[0].position not in self.lost
        }
        self.tip = gone[0].previous
        self._jumps = self.unseen = True

    def gave(self, position: Position) -> bool:
        """Whether it is a position of this log as it is now."""
        if position.epoch != self.epoch or position in self.lost:
            return False
        return position.offset == 0 or position in self.events

    def page(self, since: Asked, limit: int, now: int) -> HistoryPage:
        """A page as the broker contract describes it."""
        if isinstance(since, Position) and not self.gave(since):
            start, lost = Position(self.epoch, self.trimmed), "reset"
            return HistoryPage(start, self.retained[:limit], self.end, lost)
        if isinstance(since, Age):
            since = self._younger(now - since.milliseconds)
        return self.read(since, limit)

    def _younger(self, oldest: int) -> Position | Last:
        """Where everything after the newest event begins that is too old."""
        for event in reversed(self.retained):
            if event.time < oldest:
                return event.position
        return Last(len(self.retained) + 1)
