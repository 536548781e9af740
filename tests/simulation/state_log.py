"""A channel's log at the model broker whose events have keys, with its state."""

from eventhub.brokers.memory_state import Ledger, MemoryState
from eventhub.events.channel_types import StateRetention
from eventhub.events.event import DELETED, Event, HistoryPage, NewEvent, Position, State
from eventhub.events.keys import key_of, with_key
from tests.harness.builders import Asked
from tests.simulation.log import Log, Stored


class StateLog(Log):
    """The key of an event is its subject."""

    def __init__(self, channel: str, epoch: str, keep: int, retention: StateRetention) -> None:
        super().__init__(channel, epoch, keep)
        self._retention = retention
        self.state = MemoryState(retention, 0, Ledger())

    def append(self, new: NewEvent, step: int) -> Stored:
        attributes = new.attributes or {}
        if DELETED not in attributes:
            new = new._replace(attributes=with_key(attributes, attributes.get("subject", "")))
        stored = super().append(new, step)
        if stored.announcement is not None:
            self.state.add(self.events[stored.announcement.position])
            self.state.trimmed(self.trimmed)
        return stored

    def trim(self, keep: int) -> None:
        super().trim(keep)
        self.state.trimmed(self.trimmed)

    def reset(self, epoch: str) -> None:
        super().reset(epoch)
        self._renew()

    def lose_end(self, count: int) -> None:
        super().lose_end(count)
        self._renew()

    def page(self, since: Asked, limit: int, now: int) -> HistoryPage:
        if not isinstance(since, State):
            return super().page(since, limit, now)
        if since.position is None or self.gave(since.position):
            return self.state.page(since, self.end, limit)
        lost = "expired" if since.position.epoch == self.epoch else "reset"
        page = self.state.page(State(), self.end, limit)
        return HistoryPage(page.start, page.events, page.end, lost, page.following)

    @property
    def newest(self) -> dict[str, Event]:
        """The newest event of each key that this epoch has ever had, deletions among them."""
        return {key_of(event): event for event in self.past[self.epoch]}

    @property
    def held(self) -> dict[str, Position]:
        """What the state has: the newest event of each key that is not deleted."""
        places = {key: self.state.newest(key) for key in self.newest}
        return {key: place for key, place in places.items() if place is not None}

    def may_leave_out(self, event: Event) -> bool:
        """Whether a reader of the state need not get an event: it is superseded, or has left."""
        if event.position in self.lost or event.epoch != self.epoch:
            return True
        return self.state.newest(key_of(event)) != event.position

    def _renew(self) -> None:
        self.state = MemoryState(self._retention, 0, Ledger())
        for event in self.past[self.epoch]:
            self.state.add(event)
        self.state.trimmed(self.trimmed)
