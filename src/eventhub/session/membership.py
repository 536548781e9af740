"""What a client says about its member in presence: its id and its data."""

from collections.abc import Mapping
from typing import Any

from eventhub.auth.principal import Principal
from eventhub.common.nesting import check_depth
from eventhub.common.strict_json import dump
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import Forbidden, NotSubscribed, PayloadTooLarge
from eventhub.events.channel_names import NAME_LENGTH
from eventhub.session.commands import Subscribe, Update
from eventhub.session.interfaces import ChannelAccess, SessionLimits


def first_data(command: Subscribe, principal: Principal, limits: SessionLimits) -> bytes:
    """The data of a new member as JSON, b"" for none. Raises EventHubError."""
    if command.member_data is not None or not command.member_id:
        return _client_data(command.member_data, principal, limits)
    return principal.member_data or b""


def updated(
    command: Update,
    subscriptions: Mapping[str, Subscriber],
    principal: Principal,
    limits: SessionLimits,
) -> tuple[Subscriber, bytes]:
    """The subscriber whose member a command updates, and its data. Raises EventHubError."""
    subscriber = subscriptions.get(command.channel)
    if subscriber is None or not subscriber.member:
        channel = command.channel[:NAME_LENGTH]
        missing = "subscribed to" if subscriber is None else "a member of"
        raise NotSubscribed(
            f"this connection is not {missing} {channel!r}; expected a subscription with `member`"
        )
    return subscriber, _client_data(command.data, principal, limits, replaces=True)


def replace(
    channels: ChannelAccess, subscriptions: Mapping[str, Subscriber], data: bytes | None
) -> None:
    """A new credential gives all members of a connection other data, or none."""
    for subscriber in subscriptions.values():
        if subscriber.member:
            channels.update_member(subscriber, data or b"")


def _client_data(
    data: dict[str, Any] | None,
    principal: Principal,
    limits: SessionLimits,
    *,
    replaces: bool = False,
) -> bytes:
    if principal.member_data is not None and (replaces or data is not None):
        raise Forbidden("the member's data is that of the token (its claim member_data)")
    if data is None:
        return b""
    json = dump(data)
    if len(json) > limits.member_bytes:
        raise PayloadTooLarge(
            f"the member's data has {len(json)} bytes; at most {limits.member_bytes} are allowed "
            "(limits.member_bytes)"
        ).with_limit("member_bytes")
    check_depth(json, limits.depth, "limits.depth")
    return json
