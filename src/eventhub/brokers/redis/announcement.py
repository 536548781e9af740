"""Announcements, which publish.lua makes. No I/O."""

from collections.abc import Callable

from eventhub.brokers.records import event
from eventhub.brokers.redis.codec import read_attributes
from eventhub.events.event import Event


def announce(channel: str, announcement: bytes, deliver: Callable[[Event], None]) -> None:
    """Deliver the events of an announcement that publish.lua made.

    Raises ValueError, LookupError when one cannot be read.
    """
    begin = announcement.index(b"\n") + 1
    header = announcement[: begin - 1].split(b" ")
    epoch, previous, offset = header[0].decode(), int(header[1]), int(header[2])
    for i in range(3, len(header), 2):
        body = announcement.index(b"\n", begin)
        end = begin + int(header[i + 1])
        attributes = read_attributes(announcement[begin:body]) if body > begin else None
        deliver(
            event(
                channel,
                epoch,
                offset,
                previous,
                int(header[i]),
                announcement[body + 1 : end],
                attributes,
            )
        )
        previous = offset
        offset += 1
        begin = end
