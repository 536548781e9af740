"""What an expression can name: the fields of an event. Made when they are first asked for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from eventhub.events.event import EXTENSIONS, RESERVED, SCHEMA, Event

NAMES = frozenset({"attributes", "channel", "data", "id", "time", EXTENSIONS, *RESERVED})
_APART = frozenset((EXTENSIONS, *RESERVED))
KEPT_EVENTS, KEPT_BYTES = 64, 256 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EventFields(dict[str, Any]):
    """The values of NAMES for one event."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event

    def __missing__(self, name: str) -> Any:
        value = self[name] = self._make(name)
        return value

    def _make(self, name: str) -> Any:
        event = self.event
        match name:
            case "data":
                return orjson.loads(event.data)
            case "channel":
                return event.channel
            case "id":
                return f"{event.epoch}-{event.offset}"
            case "time":
                return _EPOCH + timedelta(milliseconds=event.time)
            case "attributes":
                stored = event.attributes or {}
                return {key: value for key, value in stored.items() if key not in _APART}
            case "extensions":
                stored = event.attributes or {}
                return orjson.loads(stored.get(EXTENSIONS, "{}"))
        assert name in RESERVED
        value = (event.attributes or {}).get(name)
        return int(value) if name == SCHEMA and value is not None else value


class RecentFields:
    """The fields of the last few events, so that all filters share what was parsed."""

    __slots__ = ("_bytes", "_kept")

    def __init__(self) -> None:
        self._kept: dict[int, EventFields] = {}  # an event lives as long as its fields
        self._bytes = 0

    def of(self, event: Event) -> EventFields:
        """The fields of an event."""
        if (found := self._kept.get(id(event))) is None:
            self._bytes += len(event.data)
            if len(self._kept) >= KEPT_EVENTS or self._bytes > KEPT_BYTES:
                self._kept.clear()
                self._bytes = len(event.data)
            found = self._kept[id(event)] = EventFields(event)
        return found
