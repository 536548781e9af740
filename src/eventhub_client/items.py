"""What a follower gets and a publisher is answered."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

T = TypeVar("T")
S = TypeVar("S")


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
    key: str | None = None
    """What it is about, if its channel type has keys."""
    refers: str | None = None
    """The id of the event that it edits or reacts to."""
    relation: str | None = None
    """`edit` or `reaction`, if it refers to another event."""
    schema: int | None = None
    """The version of the channel type's schema that `data` fits, if it has versions."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """A stored event without data: it deletes a key, or the event that it refers to."""

    channel: str
    id: str
    time: datetime
    key: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    by: str | None = None
    refers: str | None = None
    """The id of the deleted event, where none of the keys is deleted."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Events after `after` and before `before` that will not come, and why."""

    channel: str
    reason: str
    after: str | None
    before: str | None
    position: str
    skipped: int | None = None


Item = Event[T] | Deletion | Gap
"""What a follower gets: `Item[Order]`."""


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
class Member:
    """Somebody who is in a channel."""

    id: str
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Presence:
    """Who is in a channel now. `change` and `member` say what is new, if it is one member."""

    channel: str
    count: int
    members: tuple[Member, ...] | None
    """In the order in which they came; None if they are too many to be listed."""
    change: Literal["join", "leave", "update"] | None = None
    member: Member | None = None


@dataclass(frozen=True, slots=True)
class State(Generic[T]):
    """The newest event of each key of a channel. Follow the channel from `position`."""

    channel: str
    events: Mapping[str, Event[T]]
    position: str


@dataclass(frozen=True, slots=True)
class Loaded(Generic[S]):
    """What an application has loaded itself, and the position in the channel that it has."""

    state: S
    position: str


@dataclass(frozen=True, slots=True)
class Receipt:
    """The server has stored the event."""

    channel: str
    id: str
    time: datetime


def moment(text: str) -> datetime:
    """A time of the server. Python 3.10 does not read its Z."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def deletion_of(message: Mapping[str, Any]) -> Deletion:
    """From an `event` message that is a deletion."""
    return Deletion(
        message["channel"],
        message["id"],
        moment(message["time"]),
        message.get("deleted"),
        message.get("attributes", {}),
        message.get("by"),
        message.get("refers"),
    )


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


def member_of(fields: Mapping[str, Any]) -> Member:
    """From a `member` of a message."""
    return Member(fields["id"], fields.get("data"))
