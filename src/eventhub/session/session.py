"""One client's side of the protocol: commands in, replies and messages out.

No I/O and no clock of its own, so that it is the same over every transport.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from eventhub import __version__
from eventhub.auth.principal import Principal
from eventhub.delivery.pattern_subscriber import PatternSince
from eventhub.delivery.subscriber import (
    ConnectionWriter,
    Subscriber,
    SubscriberState,
    Watching,
)
from eventhub.errors import (
    EventHubError,
    Forbidden,
    InvalidFrame,
    NotSubscribed,
    ShuttingDown,
)
from eventhub.events.event import (
    Position,
    Receipt,
    format_time,
)
from eventhub.session import membership
from eventhub.session.commands import (
    EVENTHUB_DIALECT,
    Auth,
    Command,
    Ping,
    Publish,
    Ref,
    Subscribe,
    Unsubscribe,
    Update,
    ref_of,
)
from eventhub.session.deferred_messages import DeferredMessages
from eventhub.session.interfaces import ChannelAccess, ClientIdentity, SessionLimits, Submitter
from eventhub.session.positions_in_parts import PositionsInParts
from eventhub.session.publishing import checked_command, checked_event, checked_signal
from eventhub.session.subscribing import authorize, new_subscriber, since_of
from eventhub.session.subscriptions import Subscriptions


class Session:
    """A client's subscriptions and commands. The transport owns it and provides its writer."""

    __slots__ = (
        "_channels", "_closed", "_deferred", "_identity", "_limits", "_parts", "_submitter",
        "_subscriptions", "_writer", "dialect",
    )  # fmt: skip

    def __init__(
        self,
        channels: ChannelAccess,
        writer: ConnectionWriter,
        limits: SessionLimits,
        submitter: Submitter,
        identity: ClientIdentity,
    ) -> None:
        self._channels = channels
        self._writer = writer
        self._limits = limits
        self._submitter = submitter
        self._identity = identity
        self._deferred: DeferredMessages | None = None  # while a credential is being checked
        self._subscriptions = Subscriptions()
        self._closed = False
        self._parts: PositionsInParts | None = None
        self.dialect = EVENTHUB_DIALECT

    @property
    def id(self) -> str:
        """The connection's name."""
        return self._identity.id

    @property
    def channels(self) -> list[str]:
        """The channels with a subscription."""
        return list(self._subscriptions)

    # Input

    def hello(self) -> None:
        """Write `hello`, the first message of a WebSocket."""
        limits = self._limits.as_dict()
        self._reply("hello", None, {"session": self.id, "version": __version__, "limits": limits})

    def receive(self, message: bytes) -> None:
        """Handle a text message of the client. An error is answered, never raised."""
        if self._closed:
            return
        if self._deferred is not None:
            self._defer(self._deferred, message)
            return
        if len(message) > self._limits.stranger_bytes and not self._identity.principal.known:
            self._writer.fail(self._limits.too_large_for_stranger())
            return
        ref: Ref = None
        try:
            fields = self.dialect.fields_of(message, self._limits.depth)
            ref = ref_of(fields)
            self._dispatch(checked_command(fields, self.dialect, self._channels, self._identity))
        except EventHubError as error:
            self.error(error, ref)

    def subscribe(self, command: Subscribe, since: PatternSince) -> None:
        """Subscribe. `subscribed` is written now, or after history has been read.

        Raises EventHubError.
        """
        channel, limits = command.channel, self._limits
        self._authorize(channel, command.member_id, presence=command.presence)
        self._subscriptions.check_new(channel, limits.subscriptions, limits.patterns)
        data = membership.first_data(command, self._identity.principal, limits)
        began = partial(self._subscribed, command)
        filter_ = None if command.where is None else self._channels.filter(command.where)
        subscriber = new_subscriber(command, since, self._writer, began, self.id, filter_)
        self._channels.subscribe(subscriber, data)
        self._subscriptions[subscriber.channel] = subscriber
        if not subscriber.has_begun:
            self._subscriptions.expect_answer(channel, command.ref)

    def congested(self) -> None:
        """The writer is full."""
        for subscriber in list(self._subscriptions.values()):
            self._channels.congested(subscriber)

    def drained(self) -> None:
        """The writer has room again."""
        for subscriber in list(self._subscriptions.values()):
            self._channels.drained(subscriber)

    def close(self, over: Callable[[], bool] = lambda: False) -> bool:
        """The connection closes: write nothing more, and end its subscriptions.

        Stops when `over` returns true. Returns whether all are ended; if not, call it again.
        """
        self._closed = True
        while self._subscriptions and not over():
            self._channels.unsubscribe(self._subscriptions.popitem()[1])
        for subscriber in self._subscriptions.values():
            subscriber.state = SubscriberState.GONE  # feeds write nothing more until their turn
        return not self._subscriptions

    # Output

    def expiring(self, seconds: float) -> None:
        """The credential expires, and the connection closes, unless `auth` renews it in time."""
        self._reply("expiring", None, {"expires_in": round(seconds, 3)})

    def error(self, error: EventHubError, ref: Ref = None) -> None:
        """Answer with an error."""
        self._channels.refused(error)
        self._reply("error", ref, error.as_dict())

    def goodbye(self, error: ShuttingDown) -> None:
        """The connection closes next. The client comes back after `error.retry_after` seconds."""
        self._reply("goodbye", None, error.as_goodbye())
        for subscriber in self._subscriptions.values():
            # The member is expected on another node in a moment, so neither its leave nor its
            # join is announced (presence/roster.py, rule 4).
            subscriber.member = ""

    def published(self, ref: Ref, channel: str, outcome: Receipt | EventHubError) -> None:
        """Answer a `publish` with the event's id and time, or with an error."""
        if isinstance(outcome, EventHubError):
            self.error(outcome, ref)
            return
        time = format_time(outcome.time)
        fields = {"channel": channel, "id": str(outcome.position), "time": time}
        self._reply("published", ref, fields)

    # Commands

    def _dispatch(self, command: Command) -> None:
        match command:
            case Subscribe():
                self._subscribe(command)
            case Unsubscribe():
                self._unsubscribe(command)
            case Update():
                self._update(command)
            case Publish(signal=True):
                self._signal(command)
            case Publish():
                self._publish(command)
            case Auth():
                self._deferred = DeferredMessages(self._limits.message_bytes)
                decided = partial(self._decided, command.ref, self._identity.principal)
                self._identity.authenticate(command.token, decided)
            case Ping():
                self._reply("pong", command.ref, {})

    def _subscribe(self, command: Subscribe) -> None:
        if command.more or self._parts is not None:
            self._authorize(command.channel, command.member_id, presence=command.presence)
            self._parts = self._parts or PositionsInParts(self._limits.positions_bytes)
            whole = self._parts.whole(command)
            if whole is None:
                return
            command = whole
        self.subscribe(command, since_of(command))

    def _unsubscribe(self, command: Unsubscribe) -> None:
        channel = command.channel
        self._channels.unsubscribe(self._subscriptions.take(channel))
        if (ref := self._subscriptions.answered(channel)) is not None:
            why = f"unsubscribed from {channel!r} before the subscription had begun"
            self.error(NotSubscribed(why), ref)
        self._reply("unsubscribed", command.ref, {"channel": channel, "reason": "client"})

    def _update(self, command: Update) -> None:
        subscriber, data = membership.updated(
            command, self._subscriptions, self._identity.principal, self._limits
        )
        self._channels.update_member(subscriber, data, self._limits.member_updates)
        self._reply("updated", command.ref, {"channel": command.channel})

    def _publish(self, command: Publish) -> None:
        event, reference = checked_event(command, self._channels, self._identity)
        self._submitter.submit(command.ref, event, reference)

    def _signal(self, command: Publish) -> None:
        """Send a signal. It is answered only if there is a `ref`."""
        most = self._limits.signal_bytes
        self._channels.signal(checked_signal(command, self._channels, self._identity, most))
        if command.ref is not None:
            self._reply("signaled", command.ref, {"channel": command.channel})

    def _subscribed(
        self,
        command: Subscribe,
        subscriber: Subscriber,
        fields: dict[str, Any],
        position: Position | None,
    ) -> None:
        self._subscriptions.answered(subscriber.channel)
        fields = {"channel": subscriber.channel, **fields}
        if command.presence:
            fields |= self._channels.watch(subscriber)
        self._reply("subscribed", command.ref, fields, position)

    # Authentication

    def _authorize(self, channel: str, member: str, *, presence: Watching) -> None:
        """Raises EventHubError."""
        principal = self._identity.principal
        authorize(self._channels.types, principal, channel, member, presence=presence)

    def _defer(self, deferred: DeferredMessages, message: bytes) -> None:
        if not deferred.add(message):
            why = "too much was sent while the token was being checked; expected its answer first"
            self._writer.fail(InvalidFrame(why))

    def _decided(self, ref: Ref, before: Principal, outcome: Principal | EventHubError) -> None:
        deferred, self._deferred = self._deferred, None
        if isinstance(outcome, EventHubError):
            self.error(outcome, ref)
        else:
            fields: dict[str, Any] = {"principal": outcome.name}
            if outcome.expires is not None:
                fields["expires_in"] = max(0, outcome.expires - self._channels.now()) / 1000
            self._reply("authenticated", ref, fields)
            self._end_forbidden()
            if outcome.member_data != before.member_data:
                membership.replace(self._channels, self._subscriptions, outcome.member_data)
        assert deferred is not None  # since the command
        for message in deferred.messages:
            self.receive(message)

    def _end_forbidden(self) -> None:
        """End the subscriptions that the new credential does not allow."""
        for channel, subscriber in list(self._subscriptions.items()):
            try:
                self._authorize(channel, subscriber.member, presence=subscriber.watching)
            except Forbidden as error:
                self._channels.unsubscribe(self._subscriptions.pop(channel))
                if (ref := self._subscriptions.answered(channel)) is not None:
                    self.error(error, ref)
                self._reply("unsubscribed", None, {"channel": channel, "reason": error.code})

    def _reply(
        self, kind: str, ref: Ref, fields: dict[str, Any], position: Position | None = None
    ) -> None:
        if self._closed:
            return
        if ref is not None:
            fields = {"ref": ref, **fields}
        self._writer.write(self._writer.encoding.message(kind, fields, position))
