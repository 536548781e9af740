"""What a `subscribe` command must fulfil, and the subscriber that it makes."""

from collections.abc import Callable, Mapping, Set
from typing import Any

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.delivery.pattern_subscriber import PatternSince, PatternSubscriber
from eventhub.delivery.subscriber import ConnectionWriter, Subscriber, Watching
from eventhub.errors import InvalidChannel, InvalidSince
from eventhub.events.channel_names import NAME_LENGTH, parse_pattern
from eventhub.events.channel_types import ChannelTypes
from eventhub.events.event import LATEST, Position, Since, asked_position
from eventhub.events.since import parse_since
from eventhub.filters.event_filter import EventFilter
from eventhub.session.commands import Subscribe
from eventhub.session.subscriptions import is_pattern

Began = Callable[[Subscriber, dict[str, Any], Position | None], None]
"""Gets the fields of `subscribed`, and the position in a channel."""


def authorize(
    types: ChannelTypes, principal: Principal, channel: str, member: str, *, presence: Watching
) -> None:
    """Check a subscription to a channel or a pattern. Raises EventHubError."""
    anyone = _anonymous(types, channel)
    if (presence is True or member) and is_pattern(channel):
        raise InvalidChannel(
            f"channel is the pattern {channel!r}; expected one channel, such as 'chat.lobby', "
            "for member and presence; presence may be 'count' for a pattern"
        )
    principal.authorize(Action.SUBSCRIBE, channel, anyone)
    if presence or member:
        principal.authorize(Action.PRESENCE, channel, anyone)
    if member:
        principal.check_member(member)


def since_of(command: Subscribe) -> PatternSince:
    """Where a subscription begins. Raises InvalidSince."""
    match command.since:
        case None:
            return LATEST
        case str() as text:
            return parse_since(text)
        case positions:
            return _positions(command.channel, positions)


def new_subscriber(
    command: Subscribe,
    since: PatternSince,
    writer: ConnectionWriter,
    began: Began,
    session: str,
    filter_: EventFilter | None,
) -> Subscriber:
    """The subscriber of a command that is allowed."""
    if is_pattern(command.channel):
        _check_for_all(command.channel, since)
        return PatternSubscriber(
            command.channel,
            since,
            writer,
            lambda subscriber, fields: began(subscriber, fields, None),
            watching=command.presence,
            session=session,
            filter_=filter_,
        )
    assert not isinstance(since, Mapping)  # `since_of` has refused it
    return Subscriber(
        command.channel,
        since,
        writer,
        lambda subscriber, start: began(subscriber, start.as_dict(), start.position),
        command.member_id,
        watching=command.presence,
        session=session,
        filter_=filter_,
    )


def _anonymous(types: ChannelTypes, channel: str) -> Set[Action]:
    """What every client may do in the channel, or in all that fit the pattern."""
    if not is_pattern(channel):
        return types.resolve(channel).anonymous
    covered = [channel_type.anonymous for channel_type in types.covered_by(channel)]
    return frozenset.intersection(*covered)


def _check_for_all(pattern: str, since: PatternSince) -> None:
    if not isinstance(since, Mapping) and (position := asked_position(since)) is not None:
        raise InvalidSince(
            f"since is an id, {str(position)!r}, which is of one channel; expected positions of "
            f"channels of {pattern!r}, or a form of since that is good for every channel"
        )


def _positions(channel: str, positions: Mapping[str, str]) -> Mapping[str, Since]:
    if not is_pattern(channel):
        raise InvalidSince("since is an object, which is for patterns; expected one id, a string")
    pattern = parse_pattern(channel)
    for name in positions:
        if not pattern.covers(name) or is_pattern(name):
            raise InvalidSince(
                f"since names channel {name[:NAME_LENGTH]!r}, which does not fit {channel!r}"
            )
    return {name: parse_since(text, f"since of {name!r}") for name, text in positions.items()}
