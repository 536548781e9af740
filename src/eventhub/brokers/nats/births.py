"""Births of channels: a node tells the others before it stores the first event of a channel.

The server does not tell which events are the first of their subjects. So a node says `born` unless
it has itself stored an event in the channel that is still retained. The notice goes over the
connection of the event and before it: who has the event stored has sent the notice. A notice whose
event is never stored, and one for a channel that other nodes know, do no harm.
"""

from collections import OrderedDict
from collections.abc import Callable

from eventhub.brokers.base import BIRTH_SECONDS
from eventhub.events.channel_types import Retention

KNOWN = 100_000
"""Channels whose last event is remembered. The longest unused is forgotten first, and told again
when it is used.
"""


class KnownChannels:
    """The channels in which this node stored events, and when."""

    def __init__(self, retention: Callable[[str], Retention]) -> None:
        self._retention = retention
        self._times: OrderedDict[tuple[str, str], int] = OrderedDict()

    def is_birth(self, stream: str, channel: str, now: int) -> bool:
        """Whether an event that is about to be stored may be the channel's only retained one.

        `stream` is the name of the channel's stream: another stream knows no channel.
        """
        before, retention = self._times.get((stream, channel)), self._retention(channel)
        if before is None:
            return True
        age = retention.age if retention.events else BIRTH_SECONDS * 1000
        return age is not None and not 0 <= now - before <= age

    def stored(self, stream: str, channel: str, now: int) -> None:
        """An event was stored."""
        if self._retention(channel).events or self.is_birth(stream, channel, now):
            self._times[(stream, channel)] = now
            self._times.move_to_end((stream, channel))
            if len(self._times) > KNOWN:
                self._times.popitem(last=False)
