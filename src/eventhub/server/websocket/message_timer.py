"""Limits the time for a client's first message, and for the rest of a message that has begun."""

from collections.abc import Callable

from eventhub.server.connections.deadlines import Deadlines
from eventhub.server.connections.liveness import LEAST_RATE


class MessageTimer:
    """The deadlines of one connection. Times are seconds on the event loop's clock.

    A message has `allowed` seconds, and a second more for each LEAST_RATE bytes that have come.
    """

    __slots__ = ("_allowed", "_deadlines", "first_due", "started")

    def __init__(self, deadlines: Deadlines, allowed: float) -> None:
        self._deadlines = deadlines
        self._allowed = allowed
        self.started = 0.0
        """When the message under way began; 0.0 without one."""
        self.first_due = False
        """The client has sent no message yet, and must."""

    def expect_first(self, seconds: float, late: Callable[[], None]) -> None:
        """Call `late` unless the first message comes within this many seconds."""
        self.first_due = True
        self._deadlines.after((self, "first"), seconds, late)

    def first_received(self) -> None:
        """The first message has come, or its time is up."""
        self.first_due = False
        self._deadlines.clear((self, "first"))

    def message_received(self) -> None:
        """A message is complete. The next one, which may have begun, has its own time."""
        if self.first_due:
            self.first_received()
        if self.started:
            self._stop_clock()

    def begin(self, now: float, check: Callable[[], None]) -> None:
        """A message is incomplete. It may have begun before.

        `check` is called when the time may be up; it has to call `expired`.
        """
        if not self.started:
            self.started = now
            self._deadlines.after((self, "message"), self._allowed, check)

    def complete(self) -> bool:
        """Nothing is incomplete. Returns whether no first message is due either."""
        if self.started:
            self._stop_clock()
        return not self.first_due

    def expired(
        self, pending: int | None, now: float, check: Callable[[], None], *, throttled: bool
    ) -> bool:
        """Whether the message is late. If not, `check` is called again at the next possible moment.

        `throttled`: the server has not read meanwhile, so the time starts again.
        """
        if pending is None:
            self.started = 0.0
            return False
        if throttled:
            self.started = now
        due = self.started + self._allowed + pending / LEAST_RATE
        if due <= now:
            self.started = 0.0
            return True
        self._deadlines.set((self, "message"), due, check)
        return False

    def stop(self) -> None:
        """The connection has closed."""
        if self.first_due:
            self._deadlines.clear((self, "first"))
        if self.started:
            self._deadlines.clear((self, "message"))

    def _stop_clock(self) -> None:
        self.started = 0.0
        self._deadlines.clear((self, "message"))
