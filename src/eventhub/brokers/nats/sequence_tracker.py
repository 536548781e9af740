"""One announced channel: whether each announcement follows the one before it. Decides, does no I/O.

The server republishes every message it stores, with its sequence and that of the message before it on the same subject (`last`).
Announcements travel at most once, so:

1. An announcement whose `last` is not the newest one known shows a hole. What it carries is left to history, which has it as well. So is
   one that cannot be read.
2. `last` 0 says that nothing of the channel was stored at that moment. It follows: what is removed from storage was stored for at least
   `stream.GRACE`, and a lost announcement is found within seconds (4).
3. Announcements that come before the position is known (`early`, bounded) are sorted out when it is.
4. A lost announcement that no other follows is found by asking the server for the newest message, at leisure: `due` says when to, `check`
   what to make of the answer. Example: the leader of a replicated stream stores a message and dies before announcing it.
"""

from enum import Enum, auto

from eventhub.brokers.nats.message import StreamMessage
from eventhub.events.event import Event, Position

EARLY = 1024


class SequenceGap(Enum):
    """What `announce` says when announcements are missing."""

    HOLE = auto()


class SequenceTracker:
    """The announcements of one channel in one stream. `sequence` and `offset` are those of the newest event, or where it begins."""

    __slots__ = (
        "_early",
        "_overflow",
        "channel",
        "clean",
        "epoch",
        "floor",
        "offset",
        "opened",
        "sequence",
        "stream",
    )

    def __init__(self, channel: str, stream: str, epoch: str) -> None:
        self.channel = channel
        self.stream = stream
        self.epoch = epoch
        self.sequence = self.offset = 0
        self.floor = 0  # where it was opened: announcements up to there may still be on their way
        self.opened = False
        self.clean = (
            0  # everything of the channel up to this sequence of the stream has been announced
        )
        self._early: list[tuple[StreamMessage, int]] = []
        self._overflow = False

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.offset)

    def open(self, sequence: int, offset: int) -> list[Event | SequenceGap]:
        """Announcements follow this event. What came early and does."""
        self.opened = True
        self.floor, self.sequence, self.offset = sequence, sequence, offset
        early, self._early = self._early, []
        found = [self.announce(stored, last) for stored, last in early]
        if self._overflow:
            found.append(SequenceGap.HOLE)
        return [what for what in found if what is not None]

    def announce(self, stored: StreamMessage, last: int) -> Event | SequenceGap | None:
        """An announcement: the event to deliver, or a hole; None when it is too early or too late."""
        if not self.opened:
            self._remember(stored, last)
            return None
        if stored.sequence <= self.floor:
            return None
        follows = stored.sequence > self.sequence and last in (0, self.sequence)
        previous = self.offset
        self.sequence, self.offset = stored.sequence, stored.offset
        self.clean = max(self.clean, stored.sequence)
        return (
            stored.event(self.channel, self.epoch, previous)
            if follows and stored.readable
            else SequenceGap.HOLE
        )

    def due(self, settled: int) -> bool:
        """Whether to ask for the newest message: something up to sequence `settled`, stored some time ago, may be missing here."""
        return self.opened and self.clean < settled

    def check(self, newest: int, asked: int, settled: int) -> bool:
        """Whether the newest message shows that announcements are missing.

        It was asked for when the line stood at the sequence `asked` and the stream was settled up to `settled`.
        """
        if newest and (newest < asked or self.sequence < newest <= settled):
            return True
        if newest <= self.sequence:
            self.clean = max(self.clean, settled)
        return False

    def _remember(self, stored: StreamMessage, last: int) -> None:
        if len(self._early) < EARLY:
            self._early.append((stored, last))
        else:
            self._overflow = True
