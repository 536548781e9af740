"""How much of a channel's log this node has seen and delivered. Knows no subscribers."""

from eventhub.delivery.recent import RecentEvents
from eventhub.events.event import Event, HistoryPage, Position


class Continuity:
    """Positions in one channel's log, and the recent events between them."""

    __slots__ = (
        "delivered",
        "delivered_count",
        "generation",
        "head",
        "recent",
        "unverified_since",
    )

    def __init__(self) -> None:
        self.head: Position | None = None
        """The newest event announced. None while the end of the log is unknown."""
        self.delivered: Position | None = None
        """The newest event given to the live subscribers. None until the broker has opened."""
        self.delivered_count = 0
        """Events given to the live subscribers so far."""
        self.recent = RecentEvents()
        """Announced events without a hole, up to `head`. The oldest may be newer than some reader
        needs.
        """
        self.generation = 0
        """How often continuity has ended. Pages requested in an older generation cannot tell where
        the log ends.
        """
        self.unverified_since = 0
        """The generation in which the broker reported a gap, 0 when no gap is open."""

    @property
    def is_current(self) -> bool:
        """The live subscribers have been given everything announced."""
        return self.delivered == self.head

    @property
    def is_settled(self) -> bool:
        """Nothing is missing, and no page can say otherwise."""
        return self.delivered is not None and self.is_current and not self.unverified_since

    @property
    def origin(self) -> Position | None:
        """Before the first event of the log, even if that has expired. None until `open`."""
        return None if self.delivered is None else Position(self.delivered.epoch, 0)

    def follows(self, event: Event) -> bool:
        """Whether `event` is the next one after `head`."""
        head = self.head
        return head is not None and event.previous == head.offset and event.epoch == head.epoch

    def has(self, event: Event) -> bool:
        """Whether `event` is a duplicate."""
        known = self.head or self.delivered
        return known is not None and event.epoch == known.epoch and event.offset <= known.offset

    def open(self, position: Position, begin: Position | None = None) -> None:
        """The broker announces every event after `position`. Delivery starts there, or earlier."""
        self.delivered = begin or position
        if self.generation == 0:  # neither an announcement nor a gap came in the meantime
            self.head = position
        elif begin is not None and not self.reaches(position):
            self.end()  # late announcements of an earlier subscription: others may be missing

    def end(self) -> None:
        """Announcements may be missing: forget the head and the recent events."""
        self.generation += 1
        self.head = None
        self.recent.clear()

    def restart(self, event: Event) -> None:
        """An announcement that does not follow `head`: events before it are missing."""
        self.end()
        self.head = event.position
        self.remember(event)

    def remember(self, event: Event) -> None:
        """Keep an announced event, and drop the oldest ones beyond the bounds.

        Dropping events starts a new generation. A page requested earlier may end before the oldest
        kept event, with a hole between them.
        """
        self.generation += self.recent.add(event)

    def verify(self, page: HistoryPage, generation: int) -> None:
        """A page for the live subscribers, requested in `generation`, says where the log ends."""
        at_end = generation == self.generation and self.delivered == page.end
        if at_end and not self.covers(page.end):
            self.head = page.end
            self.recent.clear()
        if generation >= self.unverified_since and self.reaches(page.end):
            self.unverified_since = 0

    def covers(self, position: Position) -> bool:
        """Whether `recent` has every event after `position` up to `head`.

        False if no event has this position: a broker may skip offsets where a log lost its end.
        History then says `reset`.
        """
        head = self.head
        if head is None or position.epoch != head.epoch:
            return False
        if not self.recent.events:
            return position.offset == head.offset
        return self.recent.begins(position.offset)

    def reaches(self, position: Position) -> bool:
        """Whether `head` is at `position` or after it."""
        head = self.head
        return head is not None and position.epoch == head.epoch and position.offset <= head.offset
