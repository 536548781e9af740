"""A message of a stream, and the event that it holds. No I/O.

The message's payload is the event's data, unchanged. The event's stamp, time and attributes are
headers: the server keeps them with the message and repeats them in every announcement.
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
OFFSET = "EventHub-Offset"
"""Of a copy in a stream of states: epoch and offset of the event in its log."""
OVERHEAD = 512
"""Bytes for headers other than attributes: ours, and those the server adds to announcements."""


def new_stamp() -> int:
    """A random number from 1 to 65535.

    It tells a message from another one that had, or will have, the same sequence.
    """
    return 1 + random.getrandbits(32) % (STAMPS - 1)


def offset_of(sequence: int, stamp: int) -> int:
    """An event's offset. With stamp 0: the position just before any message with this sequence."""
    return sequence * STAMPS + stamp


def consumer_tokens(reply: str) -> list[str]:
    """The tokens in the reply subject of a consumer's message.

    They are: stream, consumer, deliveries, stream sequence, consumer sequence, time, pending.
    The domain and account hash that newer servers put in front are left out.
    """
    tokens = reply.split(".")
    return tokens[2:] if len(tokens) == 9 else tokens[4:]


class StreamMessage(NamedTuple):
    """A message in its stream."""

    sequence: int
    offset: int
    time: int
    data: bytes
    attributes: Mapping[str, str] | None
    readable: bool = True
    """Whether it can be an event."""
    copied: int = 0
    """Of a copy: the offset of the event in its log."""
    epoch: str = ""
    """Of a copy: the epoch of that log."""

    def event(self, channel: str, epoch: str, previous: int) -> Event:
        """The message's event. `previous` is the offset of the event before it in the channel."""
        return Event(channel, epoch, self.offset, previous, self.time, self.data, self.attributes)


def encode(stamp: int, time: int, attributes: Mapping[str, str] | None) -> dict[str, str]:
    """An event's headers."""
    headers = {HEADER: f"{stamp} {time}"}
    if attributes is not None:
        headers[ATTRIBUTES] = orjson.dumps(attributes).decode()
    return headers


def decode(sequence: int, headers: Mapping[str, str] | None, data: bytes) -> StreamMessage:
    """A message from the headers and data that the client library gives. Raises nothing.

    A message that EventHub did not write has stamp 1 and time 0.
    """
    headers = headers or {}
    stamp, _, time = headers.get(HEADER, "1 0").partition(" ")
    attributes = headers.get(ATTRIBUTES)
    offset = offset_of(sequence, _read_stamp(stamp))
    try:
        fields = orjson.loads(attributes) if attributes else None
        event("", "", offset, 0, int(time), data, fields)
    except ValueError:
        return StreamMessage(sequence, offset, 0, b"null", None, readable=False)
    if (place := headers.get(OFFSET)) is None:
        return StreamMessage(sequence, offset, int(time), data, fields)
    epoch, _, copied = place.partition(" ")
    number = int(copied) if copied.isascii() and copied.isdecimal() and len(copied) < 20 else 0
    return StreamMessage(sequence, offset, int(time), data, fields, copied=number, epoch=epoch)


def decode_api(message: Mapping[str, str | int]) -> StreamMessage:
    """A message from a STREAM.MSG.GET answer, with headers and data in base64."""
    lines = base64.b64decode(str(message.get("hdrs", ""))).decode(errors="replace").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines if ": " in line)
    return decode(int(message["seq"]), headers, base64.b64decode(str(message.get("data", ""))))


def _read_stamp(text: str) -> int:
    if text.isascii() and text.isdecimal() and len(text) < 6 and 0 < int(text) < STAMPS:
        return int(text)
    return 1
