"""The deletion of a key, which is an event."""

from collections.abc import Mapping

from eventhub.events.channel_types import ChannelType
from eventhub.events.event import NewEvent
from eventhub.events.keys import with_deletion


def deletion(
    channel_type: ChannelType,
    channel: str,
    key: str,
    time: int,
    attributes: Mapping[str, str] | None,
) -> NewEvent:
    """The event that deletes a key. Raises InvalidRequest."""
    channel_type.check_has_key("a deletion")
    return NewEvent(channel, b"null", time, with_deletion(attributes, key))
