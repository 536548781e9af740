"""Channel types. The configuration declares them; a channel's first token names its type."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import orjson

from eventhub.auth.grants import Action
from eventhub.errors import (
    Forbidden,
    InvalidEvent,
    InvalidRequest,
    InvalidSince,
    NotFound,
    PayloadTooLarge,
    UnknownChannel,
)
from eventhub.events.channel_names import NAME, NAME_LENGTH, check_name, parse_pattern
from eventhub.events.compatibility.versions import TypeVersion
from eventhub.events.event import Event, Since, State
from eventhub.events.keys import KeySource, key_of, with_key
from eventhub.events.refused_event import DEFAULT_REFUSED, RefusedRetention
from eventhub.events.schema import Schema
from eventhub.events.validation_errors import MISFIT

JOURNAL_TYPE, SCHEMAS_TYPE = "_cursors", "_schemas"
"""Types of the server's own channels: cursors, versions of schemas. Nobody can declare them."""


class SlowReaderPolicy(StrEnum):
    """What happens to a reader whose outgoing buffer is full (PROTOCOL.md, "Slow readers")."""

    DISCONNECT = "disconnect"
    LATEST = "latest"
    DROP = "drop"


class PublisherKind(StrEnum):
    """Who may publish: a `client` over its WebSocket, a `producer` over HTTP."""

    CLIENT = "client"
    PRODUCER = "producer"


class SenderRule(StrEnum):
    """Which `sender` a payload may name: `any`, or only the `principal` that publishes it."""

    ANY = "any"
    PRINCIPAL = "principal"


@dataclass(frozen=True, slots=True)
class StateRetention:
    """How long a channel keeps the newest event of a key.

    With `latest`, beyond the retention of the log: of at most `keys` keys, and none older than
    `age` milliseconds. Otherwise as long as the log has the event.
    """

    latest: bool = False
    keys: int = 10_000
    age: int | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """What a channel's log keeps: at most `events`, none older than `age` milliseconds.

    0 events means no history, an age of None no age limit. `state` is None if events have no keys.
    """

    events: int
    age: int | None
    state: StateRetention | None = None


@dataclass(frozen=True, slots=True, eq=False)
class SignalRules:
    """Who may send signals to channels of a type, and what fits one."""

    publish: frozenset[PublisherKind] = frozenset()
    schema: Schema | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ChannelType:
    """The settings of all channels whose first token is `name`."""

    name: str
    payload: str
    schema: Schema
    retention: Retention
    presence: bool
    slow: SlowReaderPolicy
    publish: frozenset[PublisherKind]
    anonymous: frozenset[Action] = frozenset()
    """What a client without credentials may do where authentication is configured."""
    rate: float | None = None
    """Events per second from one principal; None: `limits.publish_rate`."""
    sender: SenderRule = SenderRule.ANY
    signals: SignalRules = SignalRules()
    key: KeySource | None = None
    """Where events have their key. None: the type has no keys, and channels have no state."""
    version: TypeVersion | None = None  # a built-in payload and any JSON have none
    refused: RefusedRetention = DEFAULT_REFUSED

    def check_since(self, since: Since) -> None:
        """Raises InvalidSince for a state that channels of this type do not have."""
        if self.key is None and isinstance(since, State):
            raise InvalidSince(
                f"since asks for the state, and channel type {self.name!r} has no key; "
                f"channels.{self.name}.key names what is unique to each thing"
            )

    def keyed(self, data: bytes, attributes: Mapping[str, str] | None) -> Mapping[str, str] | None:
        """The attributes to store with an event: its key is one of them. Raises InvalidEvent."""
        if self.key is None:
            return attributes
        return with_key(attributes, self.key.of(data, attributes))

    def check_has_key(self, what: str) -> None:
        """Raises InvalidRequest if the type has no keys, which `what` needs."""
        if self.key is None:
            raise InvalidRequest(
                f"{what} needs keys, and channel type {self.name!r} has none "
                f"(channels.{self.name}.key)"
            )

    @property
    def checks_sender(self) -> bool:
        """Whether the payload's `sender` must be the principal."""
        return self.sender is SenderRule.PRINCIPAL

    @staticmethod
    def is_sender(data: bytes, author: str | None) -> bool:
        """Whether canonical JSON is an object whose `sender` is `author`."""
        value = orjson.loads(data)
        return isinstance(value, dict) and author is not None and value.get("sender") == author

    def check_sender(self, data: bytes, author: str | None) -> None:
        """Raises InvalidEvent if canonical JSON names another `sender` than `author`, or none."""
        if not self.is_sender(data, author):
            rule = f"with this credential it can only be {author!r} (channels.{self.name}.sender)"
            raise InvalidEvent(
                f"sender is missing, or somebody else; {rule}",
                [{"pointer": "/sender", "message": rule}],
            )

    def check_presence(self) -> None:
        """Raises NotFound when channels of this type keep no members."""
        if not self.presence:
            raise NotFound(
                f"channel type {self.name!r} keeps no presence; `presence: true` in the"
                " configuration turns it on"
            )

    def admit(self, publisher: PublisherKind) -> None:
        """Raises Forbidden when `publisher` may not publish to channels of this type."""
        if publisher not in self.publish:
            allowed = " and ".join(sorted(self.publish)) or "nobody"
            how = "over a WebSocket" if publisher is PublisherKind.CLIENT else "over HTTP"
            raise Forbidden(
                f"channel type {self.name!r} takes events from {allowed}, not from a {publisher}, "
                f"which publishes {how} (channels.{self.name}.publish)"
            )

    def admit_signal(self, publisher: PublisherKind) -> None:
        """Raises Forbidden when `publisher` may not send signals to channels of this type."""
        if publisher not in self.signals.publish:
            allowed = " and ".join(sorted(self.signals.publish)) or "nobody"
            raise Forbidden(
                f"channel type {self.name!r} takes signals from {allowed}, not from a {publisher} "
                f"(channels.{self.name}.signals.publish)"
            )

    def canonical_signal(
        self, body: bytes, author: str | None, most: int, *, detailed: bool = True
    ) -> bytes:
        """The canonical JSON of a signal, of at most `most` bytes.

        Raises InvalidJson, InvalidEvent, PayloadTooLarge.
        """
        schema = self.signals.schema or self.schema
        try:
            data = schema.canonical(body, detailed=detailed)
        except InvalidEvent as error:
            raise InvalidEvent(
                f"{error.message}{self._whose_schema}", error.details
            ) from error.__cause__
        if len(data) > most:
            raise PayloadTooLarge(
                f"the signal has {len(data)} bytes; at most {most} are allowed "
                "(limits.signal_bytes)"
            ).with_limit("signal_bytes")
        if self.checks_sender:
            self.check_sender(data, author)
        return data

    def canonical(self, body: bytes, *, detailed: bool = True) -> bytes:
        """Like `Schema.canonical`. The message of InvalidEvent also says where the schema is."""
        try:
            return self.schema.canonical(body, detailed=detailed)
        except InvalidEvent as error:
            raise InvalidEvent(
                f"{error.message}{self._whose_schema}", error.details
            ) from error.__cause__

    def misfit(self) -> InvalidEvent:
        """The error for an event that the schema's `fits` rejects."""
        return InvalidEvent(f"{MISFIT}{self._whose_schema}")

    @property
    def _whose_schema(self) -> str:
        return f"; its schema is at /v1/types/{self.name}"

    def conflation_key(self, event: Event) -> str:
        """The conflation key of an event: a slow reader gets the newest event of each key."""
        if self.key is not None:
            return key_of(event)
        if event.attributes and "subject" in event.attributes:
            return event.attributes["subject"]
        if self.schema.conflation_key is None:
            return ""
        try:
            data = orjson.loads(event.data)
        except orjson.JSONDecodeError:  # stored by something else
            return ""
        value = data.get(self.schema.conflation_key) if isinstance(data, dict) else None
        return "" if value is None else str(value)


class ChannelTypes:
    """The declared channel types."""

    def __init__(self, types: Mapping[str, ChannelType]) -> None:
        self._types = dict(types)

    def __iter__(self) -> Iterator[ChannelType]:
        return iter(self._types.values())

    def named(self, name: str) -> ChannelType:
        """Raises UnknownChannel."""
        if (found := self._types.get(name)) is None:
            raise UnknownChannel(
                f"no channel type is called {name[:NAME_LENGTH]!r}{self._hint(name)}"
            )
        return found

    def resolve(self, channel: str) -> ChannelType:
        """The type of a channel. Raises InvalidChannel or UnknownChannel."""
        found = self._types.get(channel.partition(".")[0])
        if found is not None and len(channel) <= NAME_LENGTH and NAME.fullmatch(channel):
            return found
        check_name(channel)
        name = channel.partition(".")[0]
        raise UnknownChannel(
            f"channel {channel!r} is of type {name!r}, which is not declared{self._hint(name)}"
        )

    def covered_by(self, pattern: str) -> list[ChannelType]:
        """The types whose channels may fit. Raises InvalidChannel or UnknownChannel."""
        token = parse_pattern(pattern).text.partition(".")[0]
        return list(self) if token in ("*", ">") else [self.named(token)]

    def _hint(self, name: str) -> str:
        near = difflib.get_close_matches(name, self._types, n=1)
        return (
            f"; did you mean {near[0]!r}?" if near else f"; declared are {', '.join(self._types)}"
        )
