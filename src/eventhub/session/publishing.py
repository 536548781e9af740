"""What a client publishes: checked, and made an event or a signal."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from eventhub.auth.grants import Action
from eventhub.common.strict_json import dump
from eventhub.delivery.cloudevents import MEDIA_TYPE
from eventhub.errors import EventHubError, InvalidEvent, InvalidFrame
from eventhub.events.channel_types import ChannelType, PublisherKind
from eventhub.events.cloudevents import json_of
from eventhub.events.compatibility.versions import stamped
from eventhub.events.deletions import deletion
from eventhub.events.event import NewEvent, with_author
from eventhub.events.references import Reference, Relation, reference, with_reference
from eventhub.events.refused_event import OPTIONS, Received
from eventhub.events.signal import Signal
from eventhub.events.since import parse_expected
from eventhub.session.cloudevents import CHANNEL, PublishCloudEvent
from eventhub.session.commands import Command, Dialect, Publish
from eventhub.session.interfaces import ChannelAccess, ClientIdentity


def checked_event(
    command: Publish, channels: ChannelAccess, identity: ClientIdentity
) -> tuple[NewEvent, Reference | None]:
    """The event of a command, and to which event it refers. Raises EventHubError."""
    allowed = False
    try:
        channel_type = channels.types.resolve(command.channel)
        channel_type.admit(PublisherKind.CLIENT)
        principal = identity.principal
        principal.authorize(Action.PUBLISH, command.channel, channel_type.anonymous)
        allowed = True
        identity.charge(channel_type)
        referred = reference(
            command.channel, channel_type, principal, command.refers, command.relation
        )
        if referred is None:
            return _new_event(command, channel_type, principal.author, channels.now()), None
        return _referring(command, channel_type, referred, channels.now()), referred
    except EventHubError as error:
        channels.rejected(command.channel, error, _refused(command, identity) if allowed else None)
        raise


def checked_command(
    fields: dict[str, Any], dialect: Dialect, channels: ChannelAccess, identity: ClientIdentity
) -> Command:
    """The command with these fields. A malformed publish may be kept.

    Raises InvalidFrame, InvalidEvent.
    """
    try:
        return dialect.command_of(fields)
    except (InvalidFrame, InvalidEvent) as error:
        cloudevent = fields.get("cloudevent")
        channel = fields.get("channel") if cloudevent is None else cloudevent.get(CHANNEL)
        is_publish = cloudevent is not None or fields.get("type") == "publish"
        if is_publish and isinstance(channel, str):
            with suppress(EventHubError):
                channel_type = channels.types.resolve(channel)
                channel_type.admit(PublisherKind.CLIENT)
                identity.principal.authorize(Action.PUBLISH, channel, channel_type.anonymous)
                if cloudevent is None:
                    received = _received(fields, identity)
                else:
                    received = _cloudevent(channel, dump(cloudevent), {}, identity)
                channels.rejected(channel, error, received)
        raise


def checked_signal(
    command: Publish, channels: ChannelAccess, identity: ClientIdentity, most: int
) -> Signal:
    """The signal of a command, with at most `most` bytes of data. Raises EventHubError."""
    try:
        channel_type = channels.types.resolve(command.channel)
        channel_type.admit_signal(PublisherKind.CLIENT)
        principal = identity.principal
        principal.authorize(Action.SIGNAL, command.channel, channel_type.anonymous)
        identity.charge_signal(channel_type)
        if command.key is not None:
            raise InvalidFrame(
                "the publish message is a signal and has a key; expected no key, because a signal "
                "is not stored and never repeated"
            )
        if command.refers is not None or command.relation is not None:
            raise InvalidFrame(
                "the publish message is a signal and has refers or relation; expected neither, "
                "because a signal is not in the log"
            )
        if command.deleted is not None or command.if_match is not None:
            raise InvalidFrame(
                "the publish message is a signal and has deleted or if_match; expected neither, "
                "because a signal is not in the state"
            )
        data = channel_type.canonical_signal(orjson.dumps(command.data), principal.author, most)
    except EventHubError as error:
        channels.signal_rejected(command.channel, error)
        raise
    attributes = with_author(_attributes(command), principal.author)
    return Signal(command.channel, data, channels.now(), attributes)


def _refused(command: Publish, identity: ClientIdentity) -> Received | None:
    """What is kept of a command whose event is refused."""
    if isinstance(command, PublishCloudEvent):
        whole = json_of(command.stored, dump(command.data))
        return _cloudevent(command.channel, whole, command.stored, identity)
    return _received(command.model_dump(exclude_unset=True), identity)


def _cloudevent(
    channel: str, whole: bytes, stored: Mapping[str, str], identity: ClientIdentity
) -> Received:
    """What is kept of a CloudEvent: all of it, as JSON."""
    options = {"content_type": MEDIA_TYPE.decode()}
    author = identity.principal.author
    return Received(channel, whole, author, "websocket", None, stored, options)


def _received(fields: dict[str, Any], identity: ClientIdentity) -> Received | None:
    """What is kept of a publish that is refused, of a client that may publish to its channel."""
    if "data" not in fields or fields.get("signal"):
        return None
    key, attributes = fields.get("key"), fields.get("attributes")
    return Received(
        fields["channel"],
        dump(fields["data"]),
        identity.principal.author,
        "websocket",
        key if isinstance(key, str) else None,
        attributes if isinstance(attributes, dict) else None,
        {name: fields[name] for name in OPTIONS if isinstance(fields.get(name), str)},
    )


def _new_event(
    command: Publish, channel_type: ChannelType, author: str | None, now: int
) -> NewEvent:
    attributes = with_author(_attributes(command), author)
    channel, key = command.channel, command.key
    if command.deleted is not None:
        event = deletion(channel_type, channel, command.deleted, now, attributes)._replace(key=key)
    else:
        data = channel_type.canonical(orjson.dumps(command.data))
        if channel_type.checks_sender:
            channel_type.check_sender(data, author)
        stored = channel_type.keyed(data, stamped(channel_type.version, attributes))
        event = NewEvent(channel, data, now, stored, key)
    if command.if_match is None:
        return event
    channel_type.check_has_key("if_match")
    return event._replace(expected=parse_expected(command.if_match))


def _referring(
    command: Publish, channel_type: ChannelType, referred: Reference, now: int
) -> NewEvent:
    is_deletion = referred.relation is Relation.DELETE
    if command.deleted is not None or (is_deletion and command.if_match is not None):
        raise InvalidFrame(
            "the publish message has refers, and deleted or if_match; expected one of them"
        )
    event = (
        NewEvent(command.channel, b"null", now, with_author(_attributes(command), referred.author))
        if is_deletion
        else _new_event(command, channel_type, referred.author, now)
    )
    stored = with_reference(event.attributes, referred)
    return event._replace(attributes=stored, key=command.key)


def _attributes(command: Publish) -> dict[str, str]:
    if isinstance(command, PublishCloudEvent):
        return command.stored
    return {str(name): value for name, value in (command.attributes or {}).items()}
