"""The rights of a principal: channel patterns for each action."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from eventhub.common.channel_pattern import check_pattern

PATTERNS = 100
"""A principal's patterns for one action, at most."""


class Action(StrEnum):
    """What a principal does with a channel. `presence`: see the members, and be one."""

    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    PRESENCE = "presence"


class Grants:
    """Patterns by action.

    Each token gets its own, so they must be quick to make: a trie of the patterns' parts needs no
    compiled expression.
    """

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
"""What may follow a part of a pattern. END: the pattern may end here."""
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
    nodes = [trie]
    for token in channel.split("."):
        following: list[Trie] = []
        for candidate in nodes:
            if ">" in candidate:
                return True
            if (node := candidate.get(token)) is not None:
                following.append(node)
            if (node := candidate.get("*")) is not None:
                following.append(node)
        if not following:
            return False
        nodes = following
    return any(END in candidate for candidate in nodes)


NOTHING = Grants({})
EVERYTHING = Grants(dict.fromkeys(Action, (">",)))
