"""Traces, as publishing and fan-out see them. Decides who is traced and what events carry; spans are made elsewhere (observability/otel.py).

An event's attribute `traceparent` is the context it was created in (OpenTelemetry, "Messaging spans", context propagation): a producer's
is passed on unchanged, and where there is none the publish's own takes its place if it is sampled.
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
"""Of version 00; and last digits of its flags with SAMPLED."""
_FORM = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?",
    re.ASCII | re.DOTALL,
)

Attributes = Mapping[str, str] | None


class TraceParent(NamedTuple):
    """Where a trace comes from: the fields of a traceparent (W3C Trace Context, 3.2.2)."""

    trace_id: str
    span_id: str
    flags: int

    @property
    def sampled(self) -> bool:
        """Whoever came before records this trace."""
        return bool(self.flags & SAMPLED)


def parent_of(attributes: Attributes) -> TraceParent | None:
    """The context an event was created in. What is no traceparent is as none (W3C Trace Context, 3.2.3)."""
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
    """Whether it is worth to look closer: a look at the last digit of the flags, in a tenth of the time that `parent_of` takes."""
    if attributes is None or (text := attributes.get(TRACEPARENT)) is None:
        return False
    return len(text) != LENGTH or text[-1] in ODD


def trace_id_of(attributes: Attributes) -> str | None:
    """For log lines."""
    parent = parent_of(attributes)
    return parent.trace_id if parent is not None else None


class PublishSpan(Protocol):
    """A publish that is traced."""

    @property
    def attributes(self) -> Mapping[str, str]:
        """What its events carry."""
        ...

    def stored(self, begin: int, error: EventHubError | None) -> None:
        """The broker, asked at `begin` (nanoseconds since the Unix epoch), has answered, or could not."""
        ...

    def end(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        """What became of its events; one error for all of a request that failed. Called once."""
        ...


class Tracing(Protocol):
    """What is sampled of this node's work. All return at once, whatever the collector does."""

    def publish(self, channel: str, attributes: Attributes, transport: str) -> PublishSpan | None:
        """A publish has arrived, to a channel of a declared type. None: it is not sampled."""
        ...

    def fanned_out(
        self, channel: str, events: Sequence[Event], seconds: float, subscribers: int
    ) -> None:
        """Events went out to a channel's live subscribers, which took so long."""
        ...


class GuardedTracing:
    """Tracing whose faults are noted, and cost nobody an event: an event is worth more than its span."""

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
    """A publish of it."""

    __slots__ = ("_faults", "_publish", "attributes")

    def __init__(self, publish: PublishSpan, faults: Faults) -> None:
        self._publish, self._faults = publish, faults
        self.attributes = publish.attributes

    def stored(self, begin: int, error: EventHubError | None) -> None:
        self._faults.contain("tracing", lambda: self._publish.stored(begin, error))

    def end(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        self._faults.contain("tracing", lambda: self._publish.end(outcomes))
