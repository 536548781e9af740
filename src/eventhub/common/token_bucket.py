"""The limits that refuse, by name, and how often something may be done: a token bucket. No I/O, no clock of its own."""

REFUSING = (
    "event_bytes", "stranger_bytes", "body_bytes", "batch", "publish_rate", "bad_credentials",
    "depth", "page", "subscriptions", "connections", "connections_per_address",
    "connections_per_principal", "channels", "commands", "head_seconds", "body_seconds",
    "first_frame_seconds", "stalled_seconds",
)  # fmt: skip
"""Settings below `limits` beyond which something is refused, or made to wait; others are buffers
and retention.
"""

COMMAND_BYTES = 16 * 1024
COMMAND_SECONDS = 0.00025
"""What one of `limits.commands` may have of a client's bytes, as they are unpacked, and of the
server's CPU time.
"""


def commands(frames: int, size: int, seconds: float) -> float:
    """How many commands it counts for what a client sent: its frames, or more where they are large or took long."""
    return max(frames, size / COMMAND_BYTES, seconds / COMMAND_SECONDS)


class TokenBucket:
    """`rate` a second on average, and `burst` at once after a pause. Of its own it keeps one number: when it will be full again.

    What is taken while the level is positive may drive it into debt, so a batch larger than `burst` waits its turn and is never refused
    for ever. Over any time `t` at most `burst + rate * t` and what the last taking had in excess is taken.
    """

    __slots__ = ("_burst", "_full", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._full = 0.0

    def charge(self, count: float, now_ms: float) -> float:
        """Take `count`, as it has been used already. The seconds until more may be taken, 0.0 for at once."""
        self.spend(count, now_ms)
        return self.wait(now_ms)

    def spend(self, count: float, now_ms: float) -> None:
        """Take `count`, as it has been used already."""
        full = self._full
        self._full = (full if full > now_ms else now_ms) + count * 1000 / self._rate

    def idle(self, now_ms: float) -> bool:
        """It is full: as if nothing had ever been taken."""
        return self._full <= now_ms

    def wait(self, now_ms: float) -> float:
        """The seconds until something may be taken, 0.0 for at once."""
        missing = (self._full - now_ms) * self._rate / 1000  # below a full bucket
        # a level of exactly nothing is not yet positive: 0.0 would say yes
        return 0.0 if missing < self._burst else max(missing - self._burst, 0.001) / self._rate
