"""The channel types of the simulation: one for each policy for slow readers."""

from eventhub.events.channel_types import (
    ChannelType,
    ChannelTypes,
    PublisherKind,
    Retention,
    SlowReaderPolicy,
)
from eventhub.events.schema import AnySchema


def _type(policy: SlowReaderPolicy) -> ChannelType:
    return ChannelType(
        policy.value,
        "json",
        AnySchema(),
        Retention(1000, None),
        presence=policy.value in WITH_PRESENCE,
        slow=policy,
        publish=frozenset(PublisherKind),
    )


WITH_PRESENCE = ("drop", "latest")
"""The channel types that keep members."""
TYPES = ChannelTypes({policy.value: _type(policy) for policy in SlowReaderPolicy})
