"""The key of an event: what the event is about, such as an order or a sensor.

The newest event of each key is a channel's state. A key is stored with its event, as an attribute
that no publisher can set.
"""

import difflib
import re
from collections.abc import Mapping
from typing import Any

import orjson

from eventhub.errors import InvalidEvent, InvalidRequest
from eventhub.events.event import DELETED, KEY, Event, NewEvent

KEY_LENGTH = 256
SUBJECT = "subject"
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_ESCAPE = re.compile(r"~(?![01])")


class KeySource:
    """Where a channel type's events have their key.

    `text` is `subject` (the attribute), a JSON pointer (RFC 6901) such as `/order/id`, or the name
    of a field of the payload. Raises ValueError.
    """

    __slots__ = ("_path", "text")

    def __init__(self, text: str) -> None:
        if not text or _ESCAPE.search(text) or ("/" in text and not text.startswith("/")):
            raise ValueError(
                f"key is {text[:80]!r}; expected a JSON pointer such as '/id', the name of a field "
                "of the payload, or 'subject', which is the attribute"
            )
        self.text = text
        self._path: list[str] | None = None
        if text != SUBJECT:
            names = text[1:].split("/") if text.startswith("/") else [text]
            self._path = [name.replace("~1", "/").replace("~0", "~") for name in names]

    @property
    def field(self) -> str | None:
        """The field of the payload that holds the key. None for `subject`."""
        return None if self._path is None else self._path[0]

    @property
    def is_field(self) -> bool:
        """Whether a field of the payload itself is the key."""
        return self._path is not None and len(self._path) == 1

    def of(self, data: bytes, attributes: Mapping[str, str] | None) -> str:
        """The key of an event, "" if it has none. Raises InvalidEvent."""
        if self._path is None:
            return attributes.get(SUBJECT, "") if attributes else ""
        value = orjson.loads(data)
        for name in self._path:
            if isinstance(value, dict):
                value = value.get(name)
            elif isinstance(value, list) and _INDEX.fullmatch(name) and int(name) < len(value):
                value = value[int(name)]
            else:
                return ""
        if isinstance(value, str):
            key = value
        elif isinstance(value, dict | list):
            kind = "an object" if isinstance(value, dict) else "an array"
            raise self._refusal(f"is {kind}; expected a string or a number")
        else:
            key = "" if value is None else orjson.dumps(value).decode()
        if len(key) > KEY_LENGTH:
            raise self._refusal(f"has {len(key)} characters; expected at most {KEY_LENGTH}")
        return key

    def _refusal(self, why: str) -> InvalidEvent:
        pointer = self.text if self.text.startswith("/") else f"/{self.text}"
        return InvalidEvent(
            f"the event's key, at {pointer}, {why}", [{"pointer": pointer, "message": why}]
        )


def key_fault(source: KeySource, schema: Mapping[str, Any]) -> str | None:
    """Why events with this JSON Schema cannot have such a key; None if they may."""
    properties = schema.get("properties")
    if source.field is None or not isinstance(properties, Mapping):
        return None
    if source.field not in properties:
        if schema.get("additionalProperties") is not False:
            return None
        near = difflib.get_close_matches(source.field, properties, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(properties)}"
        return f"the payload has no field {source.field!r}; {hint}"
    form = properties[source.field]
    kinds = {option.get("type") for option in form.get("anyOf", [form])} - {"null"}
    if source.is_field and kinds and kinds <= {"object", "array"}:
        return (
            f"the field is an {min(kinds)}; expected a string or a number, "
            f"such as '/{source.field}/id'"
        )
    return None


def with_key(attributes: Mapping[str, str] | None, key: str) -> Mapping[str, str] | None:
    """The attributes to store for an event with this key."""
    if not key:
        return attributes
    return {**attributes, KEY: key} if attributes else {KEY: key}


def with_deletion(attributes: Mapping[str, str] | None, key: str) -> Mapping[str, str]:
    """The attributes to store for the deletion of a key. Raises InvalidRequest."""
    if len(key) > KEY_LENGTH:
        raise InvalidRequest(
            f"the key to delete has {len(key)} characters; expected at most {KEY_LENGTH}"
        )
    return {**(attributes or {}), DELETED: key}


def key_of(event: Event | NewEvent) -> str:
    """The key of an event, "" if it has none. For a deletion it is the key deleted."""
    if not (attributes := event.attributes):
        return ""
    return attributes.get(KEY) or attributes.get(DELETED, "")


def is_deletion(event: Event | NewEvent) -> bool:
    """Whether the event deletes its key."""
    return event.attributes is not None and DELETED in event.attributes
