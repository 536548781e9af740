"""Signals in Redis: messages on the topic of their channel, beside the announcements."""

from typing import Any

from eventhub.brokers.redis.codec import KeyNames, PubSub
from eventhub.brokers.redis.link import RedisLink, pack
from eventhub.brokers.signals import decode, encode
from eventhub.errors import BrokerUnavailable
from eventhub.events.signal import Signal

HEADER = b"signal 0 0\n"
"""Begins a signal. No epoch has this name; and for a node of an older version, which knows no
signals, this is an announcement of no events.
"""
SIGNALS_IN_FLIGHT = 1000
"""Signals that Redis has not answered. Further ones are refused."""


class RedisSignals:
    """Publishes signals, each with one command that is never repeated."""

    def __init__(self, names: KeyNames, pubsub: PubSub) -> None:
        self._names, self._publish = names, pubsub.publish
        self._in_flight = 0

    def send(self, link: RedisLink, signal: Signal) -> None:
        """Send a signal. Raises BrokerUnavailable while the server is too slow to take more."""
        if self._in_flight >= SIGNALS_IN_FLIGHT:
            raise BrokerUnavailable(
                f"{self._in_flight} signals wait for the Redis server; at most that many may"
            )
        self._in_flight += 1
        topic = self._names.topic(signal.channel)
        link.send(pack(self._publish, topic, HEADER + encode(signal)), self._taken)

    def _taken(self, _: Any) -> None:
        """The server has answered, or never will."""
        self._in_flight -= 1


def read_signal(channel: str, announcement: bytes) -> Signal | None:
    """The signal in an announcement; None if it announces events. Raises ValueError."""
    if not announcement.startswith(HEADER):
        return None
    return decode(channel, announcement[len(HEADER) :])
