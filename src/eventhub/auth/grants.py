"""What may be done where: channel patterns by action.

A pattern is a channel name in which `*` stands for any one token, and a last `>` for one token or more (the subjects of NATS):
`chat.*` covers `chat.lobby` and not `chat.lobby.side`, `iot.greenhouse.>` covers both below it, `>` covers every channel.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

PATTERN_LENGTH = 200
PATTERNS = 100
"""Patterns of one action that a principal may have."""
_PATTERN = re.compile(r"(?:(?:[A-Za-z0-9_-]+|\*)(?:\.(?:[A-Za-z0-9_-]+|\*))*(?:\.>)?|>)", re.ASCII)


class Action(StrEnum):
    """What a principal does with a channel. `presence`: see who is there, and be seen."""

    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    PRESENCE = "presence"


def check_pattern(text: object) -> str:
    """The pattern itself. Raises ValueError, saying what was expected."""
    if not isinstance(text, str) or len(text) > PATTERN_LENGTH or not _PATTERN.fullmatch(text):
        raise ValueError(f"expected a channel pattern such as chat.*, iot.greenhouse.> or >, received {str(text)[:80]!r}")
    return text


class Grants:
    """Patterns by action, compiled once."""

    __slots__ = ("_allowed", "patterns")

    def __init__(self, patterns: Mapping[Action, Sequence[str]]) -> None:
        """Raises ValueError for a malformed pattern, or too many."""
        self.patterns = {action: tuple(map(check_pattern, patterns.get(action, ()))) for action in Action}
        for action, found in self.patterns.items():
            if len(found) > PATTERNS:
                raise ValueError(f"{action} has {len(found)} patterns; at most {PATTERNS} are allowed")
        self._allowed = {action: _compile(found).fullmatch for action, found in self.patterns.items() if found}

    def __repr__(self) -> str:
        return f"Grants({self.patterns})"

    def allow(self, action: Action, channel: str) -> bool:
        """Whether the action is granted on a well-formed channel."""
        matches = self._allowed.get(action)
        return matches is not None and matches(channel) is not None


def _compile(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(_expression(pattern) for pattern in patterns))


def _expression(pattern: str) -> str:
    parts = {"*": r"[^.]+", ">": r".+"}
    return r"\.".join(parts.get(token) or re.escape(token) for token in pattern.split("."))


NOTHING = Grants({})
EVERYTHING = Grants(dict.fromkeys(Action, (">",)))
