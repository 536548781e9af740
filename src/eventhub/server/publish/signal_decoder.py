"""Checks and decodes the signals that one principal sends over HTTP. No I/O."""

from collections.abc import Mapping

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.common.nesting import check_depth
from eventhub.errors import PayloadTooLarge
from eventhub.events.channel_types import ChannelType, PublisherKind
from eventhub.events.event import with_author
from eventhub.events.signal import Signal
from eventhub.server.connections.manager import ConnectionManager


class SignalDecoder:
    """Each method raises EventHubError."""

    def __init__(self, manager: ConnectionManager, principal: Principal, address: str) -> None:
        self._manager, self._principal, self._address = manager, principal, address

    def admit(self, channel: str) -> ChannelType:
        """The channel's type, if the principal may send signals there."""
        channel_type = self._manager.hub.types.resolve(channel)
        channel_type.admit_signal(PublisherKind.PRODUCER)
        self._principal.authorize(Action.SIGNAL, channel, channel_type.anonymous)
        return channel_type

    def decode(
        self,
        channel: str,
        body: bytes,
        attributes: Mapping[str, str] | None,
        *,
        detailed: bool = True,
    ) -> Signal:
        """The signal of a body, which is charged for, whatever else is wrong with it."""
        channel_type, author = self.admit(channel), self._principal.author
        quota, limits = self._manager.publish_quota, self._manager.settings.limits
        charge = quota.signal_charge_for(self._principal, self._address, channel_type)
        if charge is not None:
            charge.take(1)
        if len(body) > limits.event_bytes:  # much too long, so it is not parsed
            raise PayloadTooLarge(
                f"the signal has {len(body)} bytes; at most {limits.signal_bytes} are allowed "
                "(limits.signal_bytes)"
            ).with_limit("signal_bytes")
        check_depth(body, limits.depth, "limits.depth")
        most = limits.signal_bytes
        data = channel_type.canonical_signal(body, author, most, detailed=detailed)
        now = self._manager.hub.now()
        return Signal(channel, data, now, with_author(attributes, author))
