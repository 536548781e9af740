"""Whether each announcement of a channel follows the one before it. Decides, does no I/O.

The server republishes every message that it stores, with the message's sequence and that of the
message before it on the same subject (`last`). Announcements travel at most once. The rules:

1. `last` is not the newest known sequence: announcements are missing. The announcement itself is
   not delivered, because history holds it together with the missing ones. An announcement that
   cannot be read is treated in the same way.
2. `last` is 0: nothing of the channel was stored at that moment. The announcement follows. What is
   removed from storage was stored for at least `subjects.GRACE`, and rule 4 finds a lost
   announcement within seconds.
3. Announcements that arrive before the position is known (`_early`, bounded) are judged once it is.
4. A lost announcement that no other follows is found by asking the server for the newest message.
   `needs_check` says when to ask, `misses_announcements` judges the answer. Example: the leader of
   a replicated stream stores a message and dies before it announces it.
"""

from enum import Enum, auto

from eventhub.brokers.nats.message import StreamMessage
from eventhub.events.event import Event, Position

MAX_EARLY = 1024


class SequenceGap(Enum):
    """The result of an announcement that shows that others are missing."""

    MISSING = auto()


class SequenceTracker:
    """The announcements of one channel in one stream.

    `sequence` and `offset` belong to the newest event; at first, to where the tracker was opened.
    """

    __slots__ = (
        "_early",
        "_early_dropped",
        "channel",
        "complete_up_to",
        "epoch",
        "offset",
        "opened",
        "opened_at",
        "sequence",
        "stream",
    )

    def __init__(self, channel: str, stream: str, epoch: str) -> None:
        self.channel = channel
        self.stream = stream
        self.epoch = epoch
        self.sequence = self.offset = 0
        self.opened = False
        self.opened_at = 0  # announcements up to this sequence may still be on their way
        self.complete_up_to = 0  # the channel's messages up to this sequence have been announced
        self._early: list[tuple[StreamMessage, int]] = []
        self._early_dropped = False

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.offset)

    def open(self, sequence: int, offset: int) -> list[Event | SequenceGap]:
        """Start after this event. Returns the results of announcements that arrived before."""
        self.opened = True
        self.opened_at, self.sequence, self.offset = sequence, sequence, offset
        early, self._early = self._early, []
        results = [self.on_announcement(stored, last) for stored, last in early]
        if self._early_dropped:
            results.append(SequenceGap.MISSING)
        return [result for result in results if result is not None]

    def on_announcement(self, stored: StreamMessage, last: int) -> Event | SequenceGap | None:
        """The event to deliver, or a gap. None when the announcement is too early or too late."""
        if not self.opened:
            self._keep_early(stored, last)
            return None
        if stored.sequence <= self.opened_at:
            return None
        follows = stored.sequence > self.sequence and last in (0, self.sequence)
        previous = self.offset
        self.sequence, self.offset = stored.sequence, stored.offset
        self.complete_up_to = max(self.complete_up_to, stored.sequence)
        if follows and stored.readable:
            return stored.event(self.channel, self.epoch, previous)
        return SequenceGap.MISSING

    def needs_check(self, settled: int) -> bool:
        """Whether to ask for the channel's newest message.

        `settled` is a sequence of the stream that was stored some time ago: announcements up to it
        should have arrived.
        """
        return self.opened and self.complete_up_to < settled

    def misses_announcements(self, newest: int, asked_at: int, settled: int) -> bool:
        """Whether the sequence of the channel's newest message shows missing announcements.

        The question was asked when this tracker stood at sequence `asked_at` and the stream was
        settled up to `settled`. `newest` is 0 for an empty channel.
        """
        if newest and (newest < asked_at or self.sequence < newest <= settled):
            return True
        if newest <= self.sequence:
            self.complete_up_to = max(self.complete_up_to, settled)
        return False

    def _keep_early(self, stored: StreamMessage, last: int) -> None:
        if len(self._early) < MAX_EARLY:
            self._early.append((stored, last))
        else:
            self._early_dropped = True
