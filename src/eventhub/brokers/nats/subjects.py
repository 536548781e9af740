"""Subjects, and the configuration of the streams that store them.

A stream keeps one event of each channel more than the channel type retains. This newest expired
event tells exactly what was lost, and an empty channel keeps its position by it. A stream keeps
events for GRACE longer than the type's age.
"""

from typing import Any

from eventhub.brokers.idempotency import data_digest
from eventhub.events.channel_types import Retention, StateRetention

GRACE = 15 * 60
"""Seconds."""
UNRETAINED_SECONDS = 24 * 3600
"""How long the last position of a channel without history is known."""
DUPLICATE_SECONDS = 12 * 60
"""How long the server knows message ids: longer than idempotency keys are known."""
KEY_SECONDS = 11 * 60
MAX_KEYS = 1_000_000
NANOSECONDS = 1_000_000_000
LEEWAY = 1000
"""Events of a channel that a stream keeps if its type keeps states beyond the log."""


class Subjects:
    """Subjects under a prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def log(self, channel: str) -> str:
        """The subject that stores a channel's events."""
        return f"{self.prefix}.log.{channel}"

    def live(self, channel: str) -> str:
        """The subject that announces a channel's events."""
        return f"{self.prefix}.live.{channel}"

    def states(self, channel: str) -> str:
        """The subjects that store the state of a channel. No channel has a token with =."""
        return f"{self.prefix}.state.{channel}.*"

    def state(self, channel: str, key: str) -> str:
        """The subject that stores the newest event of a key."""
        return f"{self.prefix}.state.{channel}.={data_digest(key.encode()).hex()}"

    def state_stream(self, channel_type: str, state: StateRetention) -> dict[str, Any]:
        """The configuration of the stream of the states of a channel type."""
        age = None if state.age is None else (state.age // 1000 + GRACE) * NANOSECONDS
        return {
            "subjects": [f"{self.prefix}.state.{channel_type}.>"],
            "max_msgs_per_subject": 1,
            "max_msgs": -1,
            "max_bytes": -1,
            "max_age": age or 0,
            "duplicate_window": NANOSECONDS,
        }

    @property
    def nodes(self) -> str:
        """The subject of broadcasts between nodes."""
        return f"{self.prefix}.nodes"

    @property
    def births(self) -> str:
        """The subject of births."""
        return f"{self.prefix}.births"

    def key(self, channel: str, key: str) -> str:
        """The subject that stores an idempotency key."""
        return f"{self.prefix}.key.{data_digest(f'{channel} {key}'.encode()).hex()}"

    def event_stream(
        self, channel_type: str, retention: Retention, max_bytes: int
    ) -> dict[str, Any]:
        """The configuration of a channel type's stream."""
        seconds = None if retention.age is None else retention.age // 1000 + GRACE
        if retention.events == 0:
            seconds = min(seconds or UNRETAINED_SECONDS, UNRETAINED_SECONDS)
        events = retention.events
        if retention.state is not None and retention.state.latest:
            events, seconds = max(events, LEEWAY), None
        return {
            "subjects": [self.log(channel_type), f"{self.log(channel_type)}.>"],
            "max_msgs_per_subject": events + 1,
            "max_msgs": -1,
            "max_bytes": max_bytes,
            "max_age": 0 if seconds is None else seconds * NANOSECONDS,
            "duplicate_window": DUPLICATE_SECONDS * NANOSECONDS,
            "republish": {"src": f"{self.prefix}.log.>", "dest": f"{self.prefix}.live.>"},
        }

    def key_stream(self) -> dict[str, Any]:
        """The configuration of the stream that stores the idempotency keys."""
        return {
            "subjects": [f"{self.prefix}.key.*"],
            "max_msgs_per_subject": 1,
            "max_msgs": MAX_KEYS,
            "max_bytes": -1,
            "max_age": KEY_SECONDS * NANOSECONDS,
            "duplicate_window": NANOSECONDS,
        }
