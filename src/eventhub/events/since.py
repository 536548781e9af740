"""The text forms of where a reader begins (PROTOCOL.md, "Words")."""

import re

from eventhub.errors import InvalidRequest, InvalidSince
from eventhub.events.event import (
    ABSENT,
    LATEST,
    OFFSET_END,
    Age,
    Earliest,
    Last,
    Position,
    Since,
    State,
)

_POSITION = re.compile(r"([a-z0-9]{1,16})-(0|[1-9][0-9]{0,18})", re.ASCII)
_STATE = re.compile(r"state:([^:]+)(?::([1-9][0-9]{0,18}))?", re.ASCII)
_COUNT = re.compile(r"-([1-9][0-9]{0,8})", re.ASCII)
_AGE = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d|\d\d:\d\d", re.ASCII)
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_since(text: str, name: str = "since") -> Since:
    """Parse a `since` for one channel. Raises InvalidSince, which names the parameter `name`."""
    if text == "latest":
        return LATEST
    if text == "earliest":
        return Earliest()
    if text == "state":
        return State()
    if (position := _position(text)) is not None:
        return position
    if (state := _state(text)) is not None:
        return state
    if found := _COUNT.fullmatch(text):
        return Last(int(found[1]))
    if found := _AGE.fullmatch(text):
        return Age(int(found[1]) * _UNITS[found[2]])
    raise InvalidSince(
        f"{name} is {text[:80]!r}; expected an event id such as 'k3x9-41', 'latest', 'earliest', "
        f"'state', '-20' or '10m' (units {' '.join(_UNITS)}){_since_hint(text)}"
    )


def _position(text: str) -> Position | None:
    if (found := _POSITION.fullmatch(text)) and int(found[2]) < OFFSET_END:
        return Position(found[1], int(found[2]))
    return None


def _state(text: str) -> State | None:
    found = _STATE.fullmatch(text)
    if found is None or (position := _position(found[1])) is None:
        return None
    begun = int(found[2] or 0)
    return State(position, begun) if begun < OFFSET_END else None


def _since_hint(text: str) -> str:
    """A hint at what the sender probably meant."""
    if "@" in text:
        return (
            "; channel@id stands only in an address of a stream or a WebSocket, "
            "which names the channels"
        )
    if text.startswith((" ", "+")):
        return "; an age has no sign, and a + in an address is a space (%2B is one)"
    return "; a date or a time is not taken" if _DATE.match(text) else ""


def parse_event_id(text: str, name: str) -> Position:
    """Parse the id of an event. Raises InvalidRequest, which names the parameter `name`."""
    position = _position(text)
    if position is None or position.offset == 0:
        raise InvalidRequest(
            f"{name} is {text[:40]!r}; expected the id of an event, such as 'k3x9-41'"
        )
    return position


def parse_expected(text: str) -> Position:
    """Parse the newest event that a publisher expects of a key: its id, or `none`.

    Raises ValueError.
    """
    if text == "none":
        return ABSENT
    if (position := _position(text)) is None:
        raise ValueError(
            f"expected the id of the key's newest event, such as 'k3x9-41', or 'none'; "
            f"received {text[:40]!r}"
        )
    return position


def parse_cursor(text: str, name: str = "since") -> dict[str, Since]:
    """Parse a cursor of several channels such as `a@k3x9-41,b@k3x9-7`. Raises InvalidSince."""
    cursor: dict[str, Since] = {}
    for part in text.split(","):
        channel, separator, since = part.partition("@")
        if not separator:
            raise InvalidSince(
                f"{name} names several channels but {part[:80]!r} is not of the form channel@id"
            )
        if channel in cursor:
            raise InvalidSince(
                f"{name} names channel {channel[:80]!r} more than once; expected one position of it"
            )
        cursor[channel] = parse_since(since, name)
    return cursor


def parse_age(text: str) -> int:
    """Parse an age such as `24h` to milliseconds. Raises ValueError."""
    if not (found := _AGE.fullmatch(text)):
        raise ValueError(
            f"an age is {text!r}; expected a number with a unit: ms, s, m, h or d, such as '24h'"
        )
    return int(found[1]) * _UNITS[found[2]]
