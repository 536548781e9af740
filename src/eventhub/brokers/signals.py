"""How a signal travels between nodes, on every broker that has several. No I/O."""

from typing import Any

import orjson

from eventhub.brokers.records import event
from eventhub.events.signal import Signal


def encode(signal: Signal) -> bytes:
    """The time, the attributes and the data, each on a line."""
    attributes = orjson.dumps(dict(signal.attributes)) if signal.attributes else b""
    return b"%d\n%b\n%b" % (signal.time, attributes, signal.data)


def decode(channel: str, message: bytes) -> Signal:
    """The signal of a message that `encode` made. Raises ValueError for any other."""
    time, attributes, data = message.split(b"\n", 2)
    fields: Any = orjson.loads(attributes) if attributes else None
    checked = event(channel, "", 1, 0, int(time), data, fields)  # the same rules as for an event
    return Signal(channel, checked.data, checked.time, checked.attributes)
