"""A client's session with a hub and a writer that take notes, for tests."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from eventhub.auth.grants import Action, Grants
from eventhub.auth.principal import STRANGER, CredentialKind, Principal
from eventhub.delivery.encoding import LINES, Encoding
from eventhub.delivery.subscriber import Subscriber, SubscriptionStart
from eventhub.errors import (
    EventHubError,
)
from eventhub.events.builtin_payloads import ChatMessage
from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SenderRule,
    SlowReaderPolicy,
)
from eventhub.events.event import NewEvent, Position
from eventhub.events.references import Reference
from eventhub.events.refused_event import Received
from eventhub.events.schema import AnySchema, ModelSchema
from eventhub.events.signal import Signal
from eventhub.filters.event_filter import EventFilter
from eventhub.filters.registry import Filters
from eventhub.session.commands import Ref
from eventhub.session.interfaces import SessionLimits
from eventhub.session.session import Session
from tests.harness.builders import Guest

PROTOCOL = (Path(__file__).parents[3] / "PROTOCOL.md").read_text(encoding="utf-8")


NOW = 1_795_377_960_123


LIMITS = SessionLimits(
    message_bytes=65536, subscriptions=3, heartbeat=25.0, depth=4, stranger_bytes=65536
)


def kind(name: str, schema: Any, *publish: PublisherKind) -> ChannelType:
    return ChannelType(
        name,
        name,
        schema,
        Retention(10, None),
        presence=True,
        slow=SlowReaderPolicy.DISCONNECT,
        publish=frozenset(publish),
    )


TYPES = ChannelTypes(
    {
        "chat": kind("chat", ModelSchema(ChatMessage), *PublisherKind),
        "free": kind("free", AnySchema(), *PublisherKind),
        "logs": kind("logs", AnySchema(), PublisherKind.PRODUCER),
        "named": replace(
            kind("named", ModelSchema(ChatMessage), *PublisherKind), sender=SenderRule.PRINCIPAL
        ),
    }
)


@dataclass
class Line:
    """A writer that keeps what is written."""

    encoding: Encoding = LINES
    full: bool = False
    data: bytes = b""
    failed: EventHubError | None = None

    def write(self, data: bytes) -> None:
        self.data += data

    def takes_signal(self, size: int) -> bool:
        return not self.full

    def fail(self, error: EventHubError) -> None:
        self.failed = error

    def abort(self) -> None: ...


@dataclass
class Node:
    """A hub that notes what it is asked for. `prompt`: subscriptions begin at once, otherwise when
    `begin` is called.
    """

    types: ChannelTypes = TYPES
    prompt: bool = True
    refusal: EventHubError | None = None
    calls: list[tuple[str, str]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    subscribers: dict[str, Subscriber] = field(default_factory=dict)
    data: dict[str, bytes] = field(default_factory=dict)
    """Of members, by channel."""
    filters: Filters = field(default_factory=Filters)

    def filter(self, text: str) -> EventFilter:
        return self.filters.get(text)

    def subscribe(self, subscriber: Subscriber, data: bytes = b"") -> None:
        if self.refusal is not None:
            raise self.refusal
        self.types.resolve(subscriber.channel)
        self.calls.append(("subscribe", subscriber.channel))
        self.data[subscriber.channel] = data
        self.subscribers[subscriber.channel] = subscriber
        if self.prompt:
            self.begin(subscriber.channel)

    def begin(self, channel: str, *, recovered: bool = True) -> None:
        subscriber = self.subscribers[channel]
        assert subscriber.started is not None
        started, subscriber.started = subscriber.started, None
        started(
            subscriber, SubscriptionStart(Position("k3x9", 41), Position("k3x9", 99), recovered)
        )

    def unsubscribe(self, subscriber: Subscriber) -> None:
        self.calls.append(("unsubscribe", subscriber.channel))
        del self.subscribers[subscriber.channel]

    def update_member(self, subscriber: Subscriber, data: bytes, rate: float | None = None) -> None:
        self.calls.append(("update", f"{subscriber.channel} at most {rate}"))
        self.data[subscriber.channel] = data

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        self.calls.append(("watch", subscriber.channel))
        return {"count": 2, "members": [{"id": "ana"}, {"id": subscriber.member}]}

    def congested(self, subscriber: Subscriber) -> None:
        self.calls.append(("congested", subscriber.channel))

    def drained(self, subscriber: Subscriber) -> None:
        self.calls.append(("drained", subscriber.channel))

    def signal(self, signal: Signal) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.signals.append(signal)

    def refused(self, error: EventHubError) -> None:
        self.errors.append(error.code)

    def signal_rejected(self, channel: str, error: EventHubError) -> None:
        self.calls.append(("signal rejected", f"{channel} {error.code}"))

    def rejected(
        self, channel: str, error: EventHubError, received: Received | None = None
    ) -> None:
        self.calls.append(("rejected", f"{channel} {error.code}"))

    def now(self) -> int:
        return NOW


class Client:
    """A connection: a session, its hub and its writer."""

    def __init__(
        self,
        *,
        prompt: bool = True,
        limits: SessionLimits = LIMITS,
        guest: Guest | None = None,
        node: Node | None = None,
    ) -> None:
        self.node = node or Node(prompt=prompt)
        self.line = Line()
        self.guest = guest or Guest()
        self.submitted: list[tuple[Ref, NewEvent]] = []
        self.session = Session(
            self.node,
            self.line,
            limits,
            self,
            self.guest,
        )

    def submit(self, ref: Ref, event: NewEvent, reference: Reference | None = None) -> None:
        self.submitted.append((ref, event))

    def send(self, **fields: Any) -> list[dict[str, Any]]:
        """Send a message; what was written since."""
        return self.raw(orjson.dumps(fields))

    def raw(self, message: bytes) -> list[dict[str, Any]]:
        self.session.receive(message)
        return self.heard()

    def heard(self) -> list[dict[str, Any]]:
        data, self.line.data = self.line.data, b""
        return [orjson.loads(line) for line in data.splitlines()]

    def refused(self, **fields: Any) -> dict[str, Any]:
        (reply,) = self.send(**fields)
        assert reply["type"] == "error"
        return reply

    def invalid(self, **fields: Any) -> list[str]:
        """The pointers of an invalid frame."""
        reply = self.refused(**fields)
        assert reply["code"] == "invalid_frame"
        return [fault["pointer"] for fault in reply.get("details", [])]


SOME = Grants(
    {Action.SUBSCRIBE: ["chat.*"], Action.PUBLISH: ["chat.lobby"], Action.PRESENCE: ["chat.lobby"]}
)


ANA = Principal(CredentialKind.TOKEN, "ana", SOME, expires=NOW + 60_000)


def stranger(**known: Principal) -> Client:
    """A connection that may do nothing until it says who it is."""
    return Client(guest=Guest(STRANGER, known))
