"""A write that waits in a fan-out."""

from collections.abc import Sequence

from eventhub.delivery.bulk_write import Write
from eventhub.delivery.encoding import Encoding
from eventhub.events.event import Event


class QueuedWrite:
    """Bytes on their way to every subscriber of one encoding. Queued writes are numbered.

    If the encoding has a filter, the bytes are made when it is the write's turn.
    """

    __slots__ = (
        "_places", "at", "data", "encoding", "events", "number", "size", "targets", "unselected",
        "waiting",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        encoding: Encoding,
        data: bytes,
        targets: list[Write],
        events: list[Event],
    ) -> None:
        self.number = number
        self.encoding = encoding
        self.data = data
        self.size = len(data)
        """The bytes that it counts in the queue."""
        self.targets = targets
        self.at = 0  # the next target
        self.events = events
        """Events that are complete (every encoding written) when this write is done."""
        self.unselected: Sequence[Event] = ()
        """Events from which a filter has yet to select."""
        self.waiting: list[Write] = []
        """The targets, as soon as the filter has selected something."""
        self._places: dict[Write, int] | None = None

    def await_selection(self, events: Sequence[Event]) -> int:
        """A filter is to select from these events. Returns their size."""
        self.unselected = events
        self.targets, self.waiting = [], self.targets
        self.size = sum([len(event.data) for event in events])
        return self.size

    def selected(self, data: bytes) -> None:
        """A filter has made these bytes of the events."""
        self.data = data
        if data:
            self.targets = self.waiting

    def before(self, data: bytes, targets: list[Write]) -> "QueuedWrite":
        """A write that goes before this one."""
        notice = QueuedWrite(self.number, self.encoding, data, targets, [])
        notice.size = 0
        return notice

    def still_to_write(self, write: Write) -> bool:
        """Whether this subscriber has not been written to yet."""
        if self._places is None:
            self._places = {target: place for place, target in enumerate(self.targets)}
        return self._places.get(write, -1) >= self.at
