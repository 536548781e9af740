"""An event that was refused, as it is kept: what was received, and why it was refused."""

import base64
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import orjson

from eventhub.common.timestamps import check_timestamp
from eventhub.events.event import ABSENT, ATTRIBUTE_LENGTH, ATTRIBUTES, Position, format_time

REFUSED_PREFIX = "_refused-"
"""How the names of the types begin whose channels hold refused events."""
DAY = 24 * 3600 * 1000
MESSAGE_LENGTH = 1000
DETAILS = 20
"""Faults of an error that are kept."""
OPTIONS = ("refers", "relation", "if_match")
"""What a publisher may ask for besides: a reference to an event, and a precondition."""
CLOUDEVENT = ("specversion", "datacontenttype", "dataschema", "extensions")
"""The other attributes of a CloudEvent. They are kept among the options."""
AGAIN = "refused "
"""How the idempotency keys of events begin that are published again. The space makes them different
from those of producers.
"""
PARTS = 4
"""Bytes of the longest character in UTF-8."""


@dataclass(frozen=True, slots=True)
class RefusedRetention:
    """How many refused events a channel type keeps, for how many milliseconds.

    `bytes` of each payload are kept. 0 events: none are kept.
    """

    events: int = 100
    age: int = DAY
    bytes: int = 64 * 1024

    @property
    def records(self) -> int:
        """How many records the broker keeps. Some are removals, which must not push out entries."""
        return 2 * self.events


DEFAULT_REFUSED = RefusedRetention()


class Received(NamedTuple):
    """What was received of an event that is refused, by one who may publish to its channel.

    `by`: its author. `key`: its idempotency key. `attributes`: all of the event's that are stored
    or sent. `options`: what else it asked for, of OPTIONS. `cut`: more was sent than `body`.
    """

    channel: str
    body: bytes | bytearray
    by: str | None
    transport: str | None
    key: str | None = None
    attributes: Mapping[Any, Any] | None = None
    options: Mapping[str, str] | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class RefusedEvent:
    """A refused event. `payload`: its bytes, all of them or, if `cut`, the first ones.

    `time` is in milliseconds since the Unix epoch. `error` has the fields that were answered.
    `size`: the bytes that were received.
    """

    id: str
    time: int
    channel: str
    error: Mapping[str, Any]
    by: str | None
    transport: str | None
    key: str | None
    attributes: Mapping[str, str]
    options: Mapping[str, str]
    payload: bytes
    size: int
    cut: bool

    @property
    def type(self) -> str:
        """The name of its channel type."""
        return self.channel.partition(".")[0]

    def head(self) -> dict[str, Any]:
        """All but the payload, for JSON."""
        return {
            "id": self.id,
            "time": format_time(self.time),
            "type": self.type,
            "channel": self.channel,
            "error": self.error,
            "by": self.by,
            "transport": self.transport,
            "key": self.key,
            "attributes": self.attributes,
            "options": self.options,
            "bytes": self.size,
            "cut": self.cut,
        }

    def whole(self) -> dict[str, Any]:
        """The head, and the payload: `text`, or if it is no UTF-8 `base64`."""
        encoding, payload = _written(self.payload)
        return {**self.head(), "encoding": encoding, "payload": payload}

    def dump(self) -> bytes:
        """As it is stored."""
        return orjson.dumps({**self.whole(), "time": self.time})

    @classmethod
    def load(cls, fields: Mapping[str, Any]) -> Self:
        """The event with these fields, which `dump` wrote. Raises ValueError, KeyError."""
        payload = fields["payload"]
        is_text = fields["encoding"] == "text"
        return cls(
            fields["id"],
            fields["time"],
            fields["channel"],
            fields["error"],
            fields["by"],
            fields["transport"],
            fields["key"],
            fields["attributes"],
            fields["options"],
            payload.encode() if is_text else base64.b64decode(payload),
            fields["bytes"],
            fields["cut"],
        )


def precondition(expected: Position | None) -> dict[str, str]:
    """The option `if_match` of an event with this precondition."""
    if expected is None:
        return {}
    return {"if_match": "none" if expected == ABSENT else str(expected)}


def bounded(error: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an error, of bounded size."""
    found = {**error, "message": str(error["message"])[:MESSAGE_LENGTH]}
    if "details" in error:
        found["details"] = [
            {name: text[:MESSAGE_LENGTH] for name, text in each.items()}
            for each in error["details"][:DETAILS]
        ]
    return found


def valid(attributes: Mapping[Any, Any] | None) -> dict[str, str]:
    """Those of these attributes that a publisher may send."""
    return {
        name: text
        for name in ATTRIBUTES
        if isinstance(text := (attributes or {}).get(name), str)
        and 1 <= len(text) <= ATTRIBUTE_LENGTH
        and (name != "time" or _is_time(text))
    }


def beginning(body: bytes | bytearray, most: int) -> bytes:
    """At most `most` of these bytes, without a part of a character at the end."""
    kept = bytes(body[:most])
    if len(kept) == len(body):
        return kept
    for size in range(len(kept), max(len(kept) - PARTS, 0), -1):
        if _is_text(kept[:size]):
            return kept[:size]
    return kept


def _written(payload: bytes) -> tuple[str, str]:
    """The encoding of a payload, and its text."""
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return "base64", base64.b64encode(payload).decode()
    # JSON would need six bytes for each control character
    if any(unicodedata.category(each) == "Cc" and each not in "\t\n\r" for each in text):
        return "base64", base64.b64encode(payload).decode()
    return "text", text


def _is_time(text: str) -> bool:
    try:
        check_timestamp(text)
    except ValueError:
        return False
    return True


def _is_text(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
