"""The surroundings of a session: its limits, the hub, and the identity of its client."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from eventhub.auth.principal import Principal
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import EventHubError, PayloadTooLarge
from eventhub.events.channel_types import ChannelType, ChannelTypes
from eventhub.events.event import NewEvent
from eventhub.events.references import Reference
from eventhub.events.refused_event import Received
from eventhub.events.signal import Signal
from eventhub.filters.event_filter import EventFilter
from eventhub.session.commands import Ref


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """The limits of one connection.

    Sizes are in bytes, `heartbeat` is in seconds, `depth` in levels of JSON.
    """

    message_bytes: int
    subscriptions: int
    heartbeat: float
    depth: int
    stranger_bytes: int
    """The largest message before a token or an API key was accepted."""
    patterns: int = 16
    positions_bytes: int = 1024 * 1024
    """Positions of patterns that come in parts."""
    signal_bytes: int = 4096
    """The largest data of a signal."""
    member_bytes: int = 1024
    """The largest data of a member that a client gives."""
    member_updates: float = 10.0
    """How often a second a client may update its member in one channel."""

    def as_dict(self) -> dict[str, float]:
        """The limits that `hello` names."""
        return {
            "message_bytes": self.message_bytes,
            "subscriptions": self.subscriptions,
            "heartbeat": self.heartbeat,
        }

    def too_large_for_stranger(self) -> EventHubError:
        """The error for a message above `stranger_bytes`."""
        return PayloadTooLarge(
            f"the message is larger; at most {self.stranger_bytes} bytes are allowed before a "
            "token or an API key was sent (limits.stranger_bytes)"
        ).with_limit("stranger_bytes")


class ChannelAccess(Protocol):
    """The hub, as a session sees it."""

    types: ChannelTypes

    def subscribe(self, subscriber: Subscriber, data: bytes = b"") -> None:
        """Serve a subscriber, whose member has this data as JSON.

        Raises InvalidChannel, UnknownChannel, InvalidSince, ShuttingDown. `started` may be called
        before this returns.
        """
        ...

    def filter(self, text: str) -> EventFilter:
        """The filter with this text. Raises InvalidFilter."""
        ...

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Write nothing more to a subscriber."""
        ...

    def update_member(self, subscriber: Subscriber, data: bytes, rate: float | None = None) -> None:
        """Replace the data of a subscriber's member, at most so many times a second.

        Raises RateLimited, and NotFound if the channel keeps no members and there is a rate.
        """
        ...

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        """The channel's members as message fields, or their number if it watches that.

        Changes are written from now on.
        """
        ...

    def congested(self, subscriber: Subscriber) -> None:
        """A subscriber's writer is full."""
        ...

    def drained(self, subscriber: Subscriber) -> None:
        """A subscriber's writer has room again."""
        ...

    def signal(self, signal: Signal) -> None:
        """Hand a validated signal on. Raises BrokerUnavailable, ShuttingDown."""
        ...

    def rejected(
        self, channel: str, error: EventHubError, received: Received | None = None
    ) -> None:
        """An event was rejected before it reached the hub. `received` may be kept."""
        ...

    def signal_rejected(self, channel: str, error: EventHubError) -> None:
        """A signal was rejected before it reached the hub."""
        ...

    def refused(self, error: EventHubError) -> None:
        """A command was refused. May be called more than once for an error."""
        ...

    def now(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...


class Submitter(Protocol):
    """The connection, which publishes the events of its client."""

    def submit(self, ref: Ref, event: NewEvent, reference: Reference | None = None) -> None:
        """Publish in the order of the calls, if the reference, where there is one, may be made.

        `Session.published` gets each result.
        """
        ...


Decided = Callable[[Principal | EventHubError], None]
"""Gets the outcome of an authentication."""


class ClientIdentity(Protocol):
    """Who is at the other end of a connection."""

    @property
    def id(self) -> str:
        """The connection's name. Unique, never changes, no secret."""
        ...

    @property
    def principal(self) -> Principal:
        """The principal now."""
        ...

    def authenticate(self, credential: str, decided: Decided) -> None:
        """Take the principal of a credential. Calls `decided`, perhaps before this returns."""
        ...

    def charge(self, channel_type: ChannelType) -> None:
        """Count an event that is about to be published. Raises RateLimited."""
        ...

    def charge_signal(self, channel_type: ChannelType) -> None:
        """Count a signal that is about to be sent. Raises RateLimited."""
        ...
