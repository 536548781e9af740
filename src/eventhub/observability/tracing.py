"""The interface through which publishing and fan-out make traces. Spans are made in otel.py.

An event's attribute `traceparent` is the context it was created in (OpenTelemetry, "Messaging
spans", context propagation). A producer's traceparent is passed on unchanged. If there is none, the
event gets that of the publish, if the publish is sampled.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from eventhub.common.faults import Faults
from eventhub.errors import EventHubError
from eventhub.events.event import Event, Receipt

TRACEPARENT = "traceparent"
SAMPLED = 0x01
LENGTH, ODD = 55, frozenset("13579bdf")
"""Length of version 00, and the last digits of its flags that include SAMPLED."""
_FORM = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?",
    re.ASCII | re.DOTALL,
)

Attributes = Mapping[str, str] | None


class TraceParent(NamedTuple):
    """The fields of a traceparent (W3C Trace Context, 3.2.2)."""

    trace_id: str
    span_id: str
    flags: int

    @property
    def sampled(self) -> bool:
        """Whether the parent records this trace."""
        return bool(self.flags & SAMPLED)


def parent_of(attributes: Attributes) -> TraceParent | None:
    """Return the context an event was created in.

    An invalid traceparent counts as none (W3C Trace Context, 3.2.3).
    """
    if (
        attributes is None
        or (text := attributes.get(TRACEPARENT)) is None
        or (found := _FORM.fullmatch(text)) is None
    ):
        return None
    if found[1] == "00" and found[5] is not None:  # only later versions may have more
        return None
    return TraceParent(found[2], found[3], int(found[4], 16))


def may_be_sampled(attributes: Attributes) -> bool:
    """Return False if the parent is surely not sampled, in a tenth of the time of `parent_of`."""
    if attributes is None or (text := attributes.get(TRACEPARENT)) is None:
        return False
    return len(text) != LENGTH or text[-1] in ODD


def trace_id_of(attributes: Attributes) -> str | None:
    """Return the trace id for log lines."""
    parent = parent_of(attributes)
    return parent.trace_id if parent is not None else None


class PublishSpan(Protocol):
    """A publish that is traced."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """The attributes that its events get."""
        ...

    def stored(self, begin: int, error: EventHubError | None) -> None:
        """Note the broker's answer or error.

        `begin` is when the broker was asked, in nanoseconds since the Unix epoch.
        """
        ...

    def end(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        """End the span with the outcome of each event, or one error for a failed request.

        Called once.
        """
        ...


class Tracing(Protocol):
    """Makes spans of this node's work. No method blocks, whatever the collector does."""

    def publish(self, channel: str, attributes: Attributes, transport: str) -> PublishSpan | None:
        """Begin a publish to a channel of a declared type. Returns None if it is not sampled."""
        ...

    def fanned_out(
        self, channel: str, events: Sequence[Event], seconds: float, subscribers: int
    ) -> None:
        """Note that events were sent to a channel's live subscribers, which took `seconds`."""
        ...


class GuardedTracing:
    """Tracing whose faults are noted and cost no event."""

    def __init__(self, tracing: Tracing, faults: Faults) -> None:
        self._tracing, self._faults = tracing, faults

    def publish(self, channel: str, attributes: Attributes, transport: str) -> PublishSpan | None:
        try:
            found = self._tracing.publish(channel, attributes, transport)
        except Exception as error:
            self._faults.note("tracing", error)
            return None
        return None if found is None else GuardedPublishSpan(found, self._faults)

    def fanned_out(
        self, channel: str, events: Sequence[Event], seconds: float, subscribers: int
    ) -> None:
        self._faults.contain(
            "tracing", lambda: self._tracing.fanned_out(channel, events, seconds, subscribers)
        )


class GuardedPublishSpan:
    """The span of a publish, whose faults are noted and cost no event."""

    __slots__ = ("_faults", "_publish", "attributes")

    def __init__(self, publish: PublishSpan, faults: Faults) -> None:
        self._publish, self._faults = publish, faults
        self.attributes = publish.attributes

    def stored(self, begin: int, error: EventHubError | None) -> None:
        self._faults.contain("tracing", lambda: self._publish.stored(begin, error))

    def end(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        self._faults.contain("tracing", lambda: self._publish.end(outcomes))
