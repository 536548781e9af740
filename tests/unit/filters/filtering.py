"""Events and filters for tests of expressions."""

from typing import Any

import orjson

from eventhub.events.event import Event
from eventhub.filters.event_filter import EventFilter
from eventhub.filters.fields import RecentFields

TIME = 1_795_376_760_123
"""2026-11-22T19:46:00.123Z."""
DATA: dict[str, Any] = {
    "level": "error",
    "count": 5,
    "half": 2.5,
    "whole": 2.0,
    "none": None,
    "open": True,
    "big": 2**63,
    "list": [1, 2, 3],
    "tags": ["a", "b"],
    "fields": {"status": 503, "if": 1},
    "text": "Zoë went home",
    "time": "2026-11-22T20:06:00.123+01:00",
}


def event(data: Any = None, **attributes: str) -> Event:
    """An event with this data, or DATA."""
    return Event("a.b", "k", 7, 6, TIME, orjson.dumps(DATA if data is None else data), attributes)


def filter_(text: str) -> EventFilter:
    return EventFilter(text, RecentFields())


def matches(text: str, one: Event | None = None) -> bool:
    return filter_(text).matches(one or event(by="ana", subject="s1"))
