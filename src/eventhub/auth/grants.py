"""What may be done where: channel patterns by action.

A pattern is a channel name in which `*` stands for any one token, and a last `>` for one token or more (the subjects of NATS):
`chat.*` covers `chat.lobby` and not `chat.lobby.side`, `iot.greenhouse.>` covers both below it, `>` covers every channel.
"""

import re
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

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
        raise ValueError(
            f"expected a channel pattern such as chat.*, iot.greenhouse.> or >, received {str(text)[:80]!r}"
        )
    return text


class Grants:
    """Patterns by action. Made for each token, so made quickly: a trie of their tokens, which no expression has to be compiled for."""

    __slots__ = ("_tries", "patterns")

    def __init__(self, patterns: Mapping[Action, Sequence[str]]) -> None:
        """Raises ValueError for a malformed pattern, or too many."""
        self.patterns = {
            action: tuple(map(check_pattern, patterns.get(action, ()))) for action in Action
        }
        for action, found in self.patterns.items():
            if len(found) > PATTERNS:
                raise ValueError(
                    f"{action} has {len(found)} patterns; at most {PATTERNS} are allowed"
                )
        self._tries = {action: _trie(found) for action, found in self.patterns.items() if found}

    def __repr__(self) -> str:
        return f"Grants({self.patterns})"

    def allow(self, action: Action, channel: str) -> bool:
        """Whether the action is granted on a well-formed channel."""
        trie = self._tries.get(action)
        return trie is not None and _covers(trie, channel)


Trie = dict[str, Any]
"""What follows a token; END where a pattern may end."""
END = ""


def _trie(patterns: Sequence[str]) -> Trie:
    root: Trie = {}
    for pattern in patterns:
        node = root
        for token in pattern.split("."):
            node = node.setdefault(token, {})
        node[END] = True
    return root


def _covers(trie: Trie, channel: str) -> bool:
    places = [trie]
    for token in channel.split("."):
        following: list[Trie] = []
        for place in places:
            if ">" in place:
                return True
            if (node := place.get(token)) is not None:
                following.append(node)
            if (node := place.get("*")) is not None:
                following.append(node)
        if not following:
            return False
        places = following
    return any(END in place for place in places)


NOTHING = Grants({})
EVERYTHING = Grants(dict.fromkeys(Action, (">",)))
