"""The rights of a principal: channel patterns for each action."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from eventhub.common.channel_pattern import check_pattern

PATTERNS = 100
"""A principal's patterns for one action, at most."""


class Action(StrEnum):
    """What a principal does with a channel. `presence`: see the members, and be one.

    `publish` includes `signal`: who may store an event may also send one that is not stored.
    `moderate`: edit and delete the events of others, for those who may publish. `refused`: see the
    events that were refused, publish them again and discard them.
    """

    SUBSCRIBE = "subscribe"
    PUBLISH = "publish"
    PRESENCE = "presence"
    SIGNAL = "signal"
    MODERATE = "moderate"
    REFUSED = "refused"


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
        """Whether the action is granted on a well-formed channel, or on all that fit a pattern."""
        trie = self._tries.get(action)
        return trie is not None and _covers(trie, channel)


Trie = dict[str, Any]
"""What may follow a part of a pattern. END: the pattern may end here."""
END, BELOW = "", ">"


def _trie(patterns: Sequence[str]) -> Trie:
    root: Trie = {}
    for pattern in patterns:
        node = root
        for token in pattern.split("."):
            node = node.setdefault(token, {})
        node[END] = True
    return root


def _covers(trie: Trie, channel: str) -> bool:
    """Whether a channel fits one of the patterns, or every channel of a pattern fits one of them.

    A pattern stands for names whose tokens occur nowhere else, so `*` is such a token here.
    """
    nodes = [trie]
    for token in channel.split("."):
        if token == BELOW:
            return _cover_all_below(nodes)
        if any(BELOW in candidate for candidate in nodes):
            return True
        fitting = {token, "*"}  # one, if the token is `*`: else each would double the work
        following = [
            candidate[each] for candidate in nodes for each in fitting if each in candidate
        ]
        if not following:
            return False
        nodes = following
    return any(END in candidate for candidate in nodes)


def _cover_all_below(nodes: list[Trie]) -> bool:
    """Whether the patterns cover one further token, and two, and so on.

    Several may do so together: `a.*` and `a.*.>` cover `a.>`.
    """
    while not any(BELOW in candidate for candidate in nodes):
        nodes = [candidate["*"] for candidate in nodes if "*" in candidate]
        if not any(END in candidate for candidate in nodes):
            return False
    return True


NOTHING = Grants({})
EVERYTHING = Grants(dict.fromkeys(Action, (">",)))
