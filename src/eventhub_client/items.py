"""What a follower gets and a publisher is answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Event(Generic[T]):
    """A stored event. `channel` and `id` together name it."""

    channel: str
    id: str
    time: datetime
    """When the server received it."""
    data: T
    attributes: Mapping[str, str] = field(default_factory=dict)
    by: str | None = None
    """The publisher's principal, if it had a credential."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Events after `after` and before `before` that will not come, and why."""

    channel: str
    reason: str
    after: str | None
    before: str | None
    position: str
    skipped: int | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """A message for those who are there now. It is stored nowhere and has no position."""

    channel: str
    time: datetime
    """When the server received it."""
    data: Any
    attributes: Mapping[str, str] = field(default_factory=dict)
    by: str | None = None
    """The sender's principal, if it had a credential."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The server has stored the event."""

    channel: str
    id: str
    time: datetime


def moment(text: str) -> datetime:
    """A time of the server. Python 3.10 does not read its Z."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def signal_of(message: Mapping[str, Any]) -> Signal:
    """From a `signal` message."""
    return Signal(
        message["channel"],
        moment(message["time"]),
        message["data"],
        message.get("attributes", {}),
        message.get("by"),
    )


def gap_of(message: Mapping[str, Any]) -> Gap:
    """From a `gap` message."""
    return Gap(
        message["channel"],
        message["reason"],
        message.get("after"),
        message.get("before"),
        message["position"],
        message.get("skipped"),
    )
