"""Events and messages as CloudEvents 1.0.2 in the JSON format.

Every message of a stream is one CloudEvent: an event as it was published, and what else the server
says as `eventhub.gap`, `eventhub.subscribed` and so on (PROTOCOL.md, "CloudEvents").
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import count
from typing import Any
from urllib.parse import quote

import orjson

from eventhub.delivery.encoding import signal_json
from eventhub.events.cloudevents import ENCODING, SPECVERSION, is_uri_reference
from eventhub.events.event import (
    DELETED,
    EXTENSIONS,
    KEY,
    RESERVED,
    SCHEMA,
    Event,
    Position,
    format_time,
)
from eventhub.events.signal import Signal

MEDIA_TYPE = b"application/cloudevents+json"
BATCH_TYPE = b"application/cloudevents-batch+json"
SUBPROTOCOL = "cloudevents.json"
"""The subprotocol of a WebSocket (CloudEvents WebSocket binding, 3.2)."""
PREFIX = "eventhub"
"""Begins the type of what no producer sent, and the names of the server's own extensions."""
REMEMBERED = 64
"""Lines whose CloudEvents are kept: readers of several channels get the same line one by one."""
_URI_SAFE = "/:?#[]@!$&'()*+,;=%~"


class CloudEvents:
    """The CloudEvents of one server.

    `base`: begins every source that is the server's, such as `https://hub.example`; "" for relative
    ones. `node` makes the ids of messages different from those of other nodes.
    """

    def __init__(self, base: str, node: str) -> None:
        self._base = base.rstrip("/")
        self._node = node
        self._numbers: Iterator[int] = count(1)
        self.of_line = lru_cache(maxsize=REMEMBERED)(self._of_line)
        """The CloudEvent of an event in the output of `event_json`."""

    def of_event(self, event: Event) -> bytes:
        """An event, without line breaks."""
        place = f"{event.epoch}-{event.offset}"
        channel, time, attributes = event.channel, format_time(event.time), event.attributes
        if attributes is None:
            return self._of_plain(channel, place, event.offset, time, event.data)
        return self._of_attributes(channel, place, event.offset, time, attributes, event.data)

    def of_message(
        self, kind: str, fields: Mapping[str, Any], position: Position | None = None
    ) -> bytes:
        """Anything else that the server says. Its fields are the data."""
        found = {
            SPECVERSION: "1.0",
            "id": f"{self._node}-{next(self._numbers)}",
            "source": f"{self._base}/v1",
            "type": f"{PREFIX}.{kind}",
            "datacontenttype": "application/json",
        }
        if isinstance(channel := fields.get("channel"), str):
            found["subject"] = channel
        if position is not None:
            found[f"{PREFIX}position"] = str(position)
        return orjson.dumps(found | {"data": fields})

    def of_signal(self, signal: Signal) -> bytes:
        """A signal."""
        fields = orjson.loads(signal_json(signal))
        return self.of_message(fields.pop("type"), fields)

    def source_of(self, channel: str) -> str:
        """The source of the events of a channel whose producer named none."""
        return f"{self._base}/v1/channels/{channel}"

    def _of_line(self, line: bytes) -> bytes:
        fields = orjson.loads(line)
        attributes = dict(fields.get("attributes", {}))
        attributes |= {name: fields[name] for name in RESERVED if name in fields}
        if EXTENSIONS in fields:
            attributes[EXTENSIONS] = orjson.dumps(fields[EXTENSIONS]).decode()
        channel, place, time = fields["channel"], fields["id"], fields["time"]
        offset, data = int(place.rpartition("-")[2]), orjson.dumps(fields["data"])
        if not attributes:
            return self._of_plain(channel, place, offset, time, data)
        return self._of_attributes(channel, place, offset, time, attributes, data)

    def _of_plain(self, channel: str, place: str, offset: int, time: str, data: bytes) -> bytes:
        """An event without attributes."""
        head = (
            f'{{"specversion":"1.0","id":"{place}","source":"{self.source_of(channel)}"'
            f',"type":"{_type_of(channel)}","time":"{time}","datacontenttype":"application/json"'
            f',"sequence":"{offset:019d}","eventhubchannel":"{channel}"'
            f',"eventhubposition":"{place}","eventhubtime":"{time}"'
        )
        return b'%b,"data":%b}' % (head.encode(), data)

    def _of_attributes(
        self,
        channel: str,
        place: str,
        offset: int,
        time: str,
        attributes: Mapping[str, str],
        data: bytes,
    ) -> bytes:
        fields = {
            name: value
            for name, value in attributes.items()
            if name not in RESERVED and name not in (EXTENSIONS, ENCODING)
        }
        if SPECVERSION not in fields:
            fields = self._completed(channel, place, offset, time, attributes, fields)
        shown: dict[str, str | int] = {**fields}
        for name in RESERVED:
            if name in attributes:
                value = attributes[name]
                shown[PREFIX + name] = int(value) if name == SCHEMA else value
        shown |= {
            f"{PREFIX}channel": channel,
            f"{PREFIX}position": place,
            f"{PREFIX}time": time,
        }
        text = orjson.dumps(shown)[:-1]
        if more := attributes.get(EXTENSIONS, "{}")[1:-1]:
            text += b"," + more.encode()
        if SPECVERSION in attributes and data == b"null":  # it came without data
            return text + b"}"
        member = b"data_base64" if attributes.get(ENCODING) == "base64" else b"data"
        return b'%b,"%b":%b}' % (text, member, data)

    def _completed(
        self,
        channel: str,
        place: str,
        offset: int,
        time: str,
        attributes: Mapping[str, str],
        fields: dict[str, str],
    ) -> dict[str, str]:
        """The attributes of an event that was no CloudEvent, with what each CloudEvent has."""
        given = fields.get("source")
        found = {
            SPECVERSION: "1.0",
            "id": place if given is None else f"{channel}@{place}",
            "source": self.source_of(channel),
            "type": _type_of(channel),
            "time": time,
            "datacontenttype": "application/json",
            "sequence": f"{offset:019d}",
            **fields,
        }
        if given is not None:
            found["source"] = _as_uri_reference(given)
        if key := attributes.get(KEY) or attributes.get(DELETED):
            found.setdefault("subject", key)
        return found

    def of_fields(self, message: Mapping[str, Any]) -> bytes:
        """A message with its `type` among its fields."""
        fields = dict(message)
        return self.of_message(fields.pop("type"), fields)


def _type_of(channel: str) -> str:
    return f"{PREFIX}.event.{channel.partition('.')[0]}"


def _as_uri_reference(text: str) -> str:
    """The text, percent-encoded if it is no URI reference."""
    if is_uri_reference(text):
        return text
    encoded = quote(text, safe=_URI_SAFE)
    return encoded if is_uri_reference(encoded) else quote(text, safe="")
