"""One client connection's protocol: commands in, replies and messages out. No I/O, no clock of its own, the same over every transport."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import orjson

from eventhub import __version__
from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.common.nesting import check_depth
from eventhub.delivery.subscriber import (
    ConnectionWriter,
    Subscriber,
    SubscriberState,
    SubscriptionStart,
)
from eventhub.errors import (
    AlreadySubscribed,
    EventHubError,
    Forbidden,
    InvalidFrame,
    InvalidJson,
    NotSubscribed,
    PayloadTooLarge,
    ShuttingDown,
    TooManySubscriptions,
)
from eventhub.events.channels import NAME_LENGTH, ChannelType, ChannelTypes, PublisherKind
from eventhub.events.event import (
    Latest,
    NewEvent,
    Position,
    Receipt,
    Since,
    format_time,
    parse_since,
)
from eventhub.events.json_codec import parse
from eventhub.session.commands import (
    Auth,
    Command,
    Ping,
    Publish,
    Ref,
    Subscribe,
    Unsubscribe,
    command_of,
    json_kind,
    ref_of,
)

PUT_OFF = 64
"""Messages that may wait while a credential is being checked."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """What one connection may do. Sizes in bytes, `heartbeat` in seconds, `depth` in levels of JSON."""

    message_bytes: int
    subscriptions: int
    heartbeat: float
    depth: int
    stranger_bytes: int
    """Of a message from somebody who is not known."""


class ChannelAccess(Protocol):
    """What a session asks of the hub."""

    types: ChannelTypes

    def subscribe(self, subscriber: Subscriber) -> None:
        """Raises InvalidChannel, UnknownChannel. `started` may be called before this returns."""
        ...

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Nothing is written for it afterwards."""
        ...

    def watch(self, subscriber: Subscriber) -> dict[str, Any]:
        """The members now, as fields of a message; what changes is written from now on."""
        ...

    def congested(self, subscriber: Subscriber) -> None:
        """Its writer is full."""
        ...

    def drained(self, subscriber: Subscriber) -> None:
        """Its writer has room again."""
        ...

    def rejected(self, channel: str, error: EventHubError) -> None:
        """An event was refused before it reached the hub."""
        ...

    def refused(self, error: EventHubError) -> None:
        """Something was refused; called once or more for each error."""
        ...

    def now(self) -> int:
        """Milliseconds since the Unix epoch."""
        ...


Submit = Callable[[Ref, NewEvent], None]
"""Publish in the given order, and answer with `Session.published`."""

Decided = Callable[[Principal | EventHubError], None]


class ClientIdentity(Protocol):
    """Who is at the other end. `id` is what the connection is called: unique, and no secret."""

    @property
    def id(self) -> str:
        """Always the same."""
        ...

    @property
    def principal(self) -> Principal:
        """Now."""
        ...

    def authenticate(self, credential: str, decided: Decided) -> None:
        """Become whoever has this credential; `decided` gets the outcome, from inside this call or later."""
        ...

    def charge(self, kind: ChannelType) -> None:
        """Count an event that is about to be published. Raises RateLimited."""
        ...


class Session:
    """A client's subscriptions and commands. Owned by a transport, which is also its writer."""

    __slots__ = (
        "_channels", "_closed", "_limits", "_put_off", "_submit", "_subscriptions", "_visitor", "_waiting", "_writer",
    )  # fmt: skip

    def __init__(
        self,
        channels: ChannelAccess,
        writer: ConnectionWriter,
        limits: SessionLimits,
        submit: Submit,
        visitor: ClientIdentity,
    ) -> None:
        self._channels = channels
        self._writer = writer
        self._limits = limits
        self._submit = submit
        self._visitor = visitor
        self._put_off: list[bytes] | None = (
            None  # messages behind a credential that is being checked
        )
        self._subscriptions: dict[str, Subscriber] = {}
        self._waiting: dict[
            str, Ref
        ] = {}  # what to call the answer to `subscribe`, by channels that have not begun
        self._closed = False

    # Input

    def hello(self) -> None:
        """Greet: the first message of a WebSocket."""
        limits = self._limits
        shown = {
            "message_bytes": limits.message_bytes,
            "subscriptions": limits.subscriptions,
            "heartbeat": limits.heartbeat,
        }
        self._say("hello", None, {"session": self.id, "version": __version__, "limits": shown})

    def subscribe(self, command: Subscribe, since: Since) -> None:
        """Answered with `subscribed`, now or when history has been read. Raises EventHubError."""
        self._authorize(command.channel, command.member, presence=command.presence)
        if command.channel in self._subscriptions:
            raise AlreadySubscribed(
                f"this connection is subscribed to {command.channel!r}; unsubscribe first to begin elsewhere"
            )
        if len(self._subscriptions) >= self._limits.subscriptions:
            raise TooManySubscriptions(
                f"this connection has {self._limits.subscriptions} subscriptions; at most that many are allowed (limits.subscriptions)"
            )
        started = partial(self._subscribed, command)
        subscriber = Subscriber(
            command.channel,
            since,
            self._writer,
            started,
            command.member or "",
            watching=command.presence,
            session=self.id,
        )
        self._channels.subscribe(subscriber)
        self._subscriptions[command.channel] = subscriber
        if subscriber.started is not None and command.ref is not None:
            self._waiting[command.channel] = command.ref

    def receive(self, message: bytes) -> None:
        """A text message of the client. Faults of a command are answered, never raised."""
        if self._closed:
            return
        if self._put_off is not None:
            self._wait(message)
            return
        if len(message) > self._limits.stranger_bytes and not self._visitor.principal.known:
            self._writer.fail(
                PayloadTooLarge(
                    f"the message is larger; at most {self._limits.stranger_bytes} bytes are allowed before a token or an API key was "
                    "sent (limits.stranger_bytes)"
                ).with_limit("stranger_bytes")
            )
            return
        ref: Ref = None
        try:
            check_depth(message, self._limits.depth + 1, "limits.depth, and one for the message")
            fields = _object(message)
            ref = ref_of(fields)
            self._dispatch(command_of(fields))
        except EventHubError as error:
            self.error(error, ref)

    def congested(self) -> None:
        """The writer is full."""
        for subscriber in list(self._subscriptions.values()):
            self._channels.congested(subscriber)

    def drained(self) -> None:
        """The writer has room again."""
        for subscriber in list(self._subscriptions.values()):
            self._channels.drained(subscriber)

    def close(self, over: Callable[[], bool] = lambda: False) -> bool:
        """The connection is gone or about to go: nothing is said afterwards, and its writer takes nothing.

        Subscriptions end until it is `over`. True when none is left; otherwise call again.
        """
        self._closed = True
        self._waiting.clear()
        while self._subscriptions and not over():
            self._channels.unsubscribe(self._subscriptions.popitem()[1])
        for subscriber in self._subscriptions.values():
            subscriber.state = (
                SubscriberState.GONE
            )  # feeds do nothing more for those that have to wait
        return not self._subscriptions

    @property
    def id(self) -> str:
        """What the connection is called."""
        return self._visitor.id

    @property
    def channels(self) -> list[str]:
        """Those that are subscribed to."""
        return list(self._subscriptions)

    # Output

    def expiring(self, seconds: float) -> None:
        """The credential runs out in so many seconds, and the connection with it, unless `auth` brings a new one."""
        self._say("expiring", None, {"expires_in": round(seconds, 3)})

    def error(self, error: EventHubError, ref: Ref = None) -> None:
        """An error reply."""
        self._channels.refused(error)
        self._say("error", ref, error.as_dict())

    def goodbye(self, error: ShuttingDown) -> None:
        """The connection closes next; come back after `error.retry_after` seconds."""
        self._say("goodbye", None, error.as_goodbye())
        for subscriber in self._subscriptions.values():
            # expected elsewhere in a moment: no leave is told, and no join (presence/roster.py,
            # rule 4)
            subscriber.member = ""

    def published(self, ref: Ref, channel: str, outcome: Receipt | EventHubError) -> None:
        """What became of a submitted event: its position and time, or why not."""
        if isinstance(outcome, EventHubError):
            self.error(outcome, ref)
        else:
            fields = {
                "channel": channel,
                "id": str(outcome.position),
                "time": format_time(outcome.time),
            }
            self._say("published", ref, fields)

    # Private

    def _dispatch(self, command: Command) -> None:
        match command:
            case Subscribe():
                self.subscribe(
                    command, Latest() if command.since is None else parse_since(command.since)
                )
            case Unsubscribe():
                self._unsubscribe(command)
            case Publish():
                self._publish(command)
            case Auth():
                self._put_off = []
                self._visitor.authenticate(command.token, partial(self._decided, command.ref))
            case Ping():
                self._say("pong", command.ref, {})

    def _unsubscribe(self, command: Unsubscribe) -> None:
        subscriber = self._subscriptions.pop(command.channel, None)
        if subscriber is None:
            raise NotSubscribed(
                f"this connection is not subscribed to {command.channel[:NAME_LENGTH]!r}"
            )
        self._channels.unsubscribe(subscriber)
        if (
            ref := self._waiting.pop(command.channel, None)
        ) is not None:  # whoever awaits the answer would await it for ever
            self.error(
                NotSubscribed(
                    f"unsubscribed from {command.channel!r} before the subscription had begun"
                ),
                ref,
            )
        self._say("unsubscribed", command.ref, {"channel": command.channel, "reason": "client"})

    def _publish(self, command: Publish) -> None:
        try:
            kind = self._channels.types.resolve(command.channel)
            kind.admit(PublisherKind.CLIENT)
            self._visitor.principal.authorize(Action.PUBLISH, command.channel, kind.anonymous)
            self._visitor.charge(kind)
            data = kind.canonical(orjson.dumps(command.data))
        except EventHubError as error:
            self._channels.rejected(command.channel, error)
            raise
        attributes = {str(name): value for name, value in (command.attributes or {}).items()}
        self._submit(
            command.ref,
            NewEvent(command.channel, data, self._channels.now(), attributes or None, command.key),
        )

    # Who may what

    def _authorize(self, channel: str, member: str | None, *, presence: bool) -> None:
        """Raises EventHubError."""
        anyone = self._channels.types.resolve(channel).anonymous
        principal = self._visitor.principal
        principal.authorize(Action.SUBSCRIBE, channel, anyone)
        if presence or member:
            principal.authorize(Action.PRESENCE, channel, anyone)
        if member:
            principal.check_member(member)

    def _wait(self, message: bytes) -> None:
        assert self._put_off is not None
        self._put_off.append(message)
        if (
            len(self._put_off) > PUT_OFF
            or sum(map(len, self._put_off)) > self._limits.message_bytes
        ):
            self._put_off = []
            self._writer.fail(
                InvalidFrame(
                    "too much was sent while the token was being checked; expected its answer first"
                )
            )

    def _decided(self, ref: Ref, outcome: Principal | EventHubError) -> None:
        waited, self._put_off = self._put_off, None
        if isinstance(outcome, EventHubError):
            self.error(outcome, ref)
        else:
            fields: dict[str, Any] = {"principal": outcome.name}
            if outcome.expires is not None:
                fields["expires_in"] = max(0, outcome.expires - self._channels.now()) / 1000
            self._say("authenticated", ref, fields)
            self._reconsider()
        for message in waited or ():
            self.receive(message)

    def _reconsider(self) -> None:
        """End what the new credential does not allow."""
        for channel, subscriber in list(self._subscriptions.items()):
            try:
                self._authorize(channel, subscriber.member, presence=subscriber.watching)
            except Forbidden as error:
                self._channels.unsubscribe(self._subscriptions.pop(channel))
                if (waiting := self._waiting.pop(channel, None)) is not None:
                    self.error(error, waiting)
                self._say("unsubscribed", None, {"channel": channel, "reason": error.code})

    def _subscribed(
        self, command: Subscribe, subscriber: Subscriber, start: SubscriptionStart
    ) -> None:
        self._waiting.pop(subscriber.channel, None)
        fields = {"channel": subscriber.channel, **start.as_dict()}
        if command.presence:
            fields |= self._channels.watch(subscriber)
        self._say("subscribed", command.ref, fields, start.position)

    def _say(
        self, kind: str, ref: Ref, fields: dict[str, Any], position: Position | None = None
    ) -> None:
        if self._closed:
            return
        if ref is not None:
            fields = {"ref": ref, **fields}
        self._writer.write(self._writer.encoding.message(kind, fields, position))


def _object(message: bytes) -> dict[str, Any]:
    """A message's fields. Raises InvalidJson, TooDeep, InvalidFrame."""
    try:
        fields = parse(message)
    except InvalidJson:
        if message.lstrip().startswith(b"{"):
            raise
        raise InvalidJson(
            'the message is no JSON; expected an object with a type, such as {"type":"ping"}'
        ) from None
    if not isinstance(fields, dict):
        raise InvalidFrame(
            f'the message is a JSON {json_kind(fields)}; expected an object with a type, such as {{"type":"ping"}}'
        )
    return fields
