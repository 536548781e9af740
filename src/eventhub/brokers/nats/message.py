"""A message of a stream, and the event it is. No I/O.

An event's data is the message's payload as it is. Its stamp, time and attributes are headers: the server keeps them with the message and
repeats them in every announcement.
"""

import base64
import random
from collections.abc import Mapping
from typing import NamedTuple

import orjson

from eventhub.brokers.records import event
from eventhub.events.event import Event

STAMPS = 1 << 16
HEADER, ATTRIBUTES = "EventHub", "EventHub-Attributes"
OVERHEAD = 512
"""Bytes to leave for headers beyond attributes: ours, and those the server adds to announcements."""


def new_stamp() -> int:
    """A number that tells a message from another one that once had, or will have, the same sequence. 0 is no message's."""
    return random.randrange(1, STAMPS)


def offset_of(sequence: int, stamp: int) -> int:
    """An event's offset. Stamp 0: just before whatever has this sequence."""
    return sequence * STAMPS + stamp


class StreamMessage(NamedTuple):
    """A message in its stream."""

    sequence: int
    offset: int
    time: int
    data: bytes
    attributes: Mapping[str, str] | None
    readable: bool = True
    """It can be an event."""

    def event(self, channel: str, epoch: str, previous: int) -> Event:
        """The event it is, where the one before it in the channel has the offset `previous`."""
        return Event(channel, epoch, self.offset, previous, self.time, self.data, self.attributes)


def encode(stamp: int, time: int, attributes: Mapping[str, str] | None) -> dict[str, str]:
    """An event's headers."""
    headers = {HEADER: f"{stamp} {time}"}
    if attributes is not None:
        headers[ATTRIBUTES] = orjson.dumps(attributes).decode()
    return headers


def decode(sequence: int, headers: Mapping[str, str] | None, data: bytes) -> StreamMessage:
    """A message as the client library gives it. One that EventHub did not write has stamp 1 and time 0. Raises nothing."""
    headers = headers or {}
    stamp, _, time = headers.get(HEADER, "1 0").partition(" ")
    attributes = headers.get(ATTRIBUTES)
    own = (
        int(stamp)
        if stamp.isascii() and stamp.isdecimal() and len(stamp) < 6 and 0 < int(stamp) < STAMPS
        else 1
    )
    offset = offset_of(sequence, own)
    try:
        fields = orjson.loads(attributes) if attributes else None
        event("", "", offset, 0, int(time), data, fields)
    except ValueError:
        return StreamMessage(sequence, offset, 0, b"null", None, readable=False)
    return StreamMessage(sequence, offset, int(time), data, fields)


def decode_api(message: Mapping[str, str | int]) -> StreamMessage:
    """A message as the STREAM.MSG.GET answer gives it: headers and data in base64."""
    lines = base64.b64decode(str(message.get("hdrs", ""))).decode(errors="replace").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    return decode(int(message["seq"]), headers, base64.b64decode(str(message.get("data", ""))))
