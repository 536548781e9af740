"""A token bucket, and the names of the limits that refuse. No I/O; the time is an argument."""

REFUSING = (
    "event_bytes", "stranger_bytes", "body_bytes", "batch", "publish_rate", "signal_bytes",
    "signal_rate", "bad_credentials", "depth", "page", "subscriptions", "patterns",
    "pattern_channels", "connections", "connections_per_address", "connections_per_principal",
    "channels", "commands", "head_seconds", "body_seconds", "first_frame_seconds",
    "stalled_seconds", "member_bytes", "member_updates",
    "filter_bytes", "filters",
)  # fmt: skip
"""Settings below `limits` that refuse or delay requests. The other settings bound buffers and
retention.
"""

COMMAND_BYTES = 16 * 1024
COMMAND_SECONDS = 0.00025
"""Uncompressed bytes, and CPU time, that count as one command of `limits.commands`."""


def commands(frames: int, size: int, seconds: float) -> float:
    """How many commands these frames count as. Large or slow frames count as several."""
    return max(frames, size / COMMAND_BYTES, seconds / COMMAND_SECONDS)


class TokenBucket:
    """`rate` tokens a second on average, and `burst` at once after a pause.

    The only state is the time at which the bucket will be full again. Tokens can be taken while the
    level is positive, and may take it below zero (a debt). So a batch larger than `burst` is
    possible: later takers wait until the debt is paid. Over any time `t` at most `burst + rate * t`
    tokens are taken, plus the debt of the last taking.
    """

    __slots__ = ("_burst", "_full", "_rate")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._full = 0.0

    def charge(self, count: float, now_ms: float) -> float:
        """Take `count` tokens for work that is done. Returns the seconds to wait before more."""
        self.spend(count, now_ms)
        return self.wait(now_ms)

    def spend(self, count: float, now_ms: float) -> None:
        """Take `count` tokens for work that is done."""
        full = self._full
        self._full = (full if full > now_ms else now_ms) + count * 1000 / self._rate

    def idle(self, now_ms: float) -> bool:
        """Whether the bucket is full."""
        return self._full <= now_ms

    def wait(self, now_ms: float) -> float:
        """The seconds until a token may be taken; 0.0 for at once."""
        missing = (self._full - now_ms) * self._rate / 1000  # below a full bucket
        # a level of exactly 0 is not positive yet, so the wait must not be 0.0
        return 0.0 if missing < self._burst else max(missing - self._burst, 0.001) / self._rate
