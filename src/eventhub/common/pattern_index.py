"""Finds the patterns that cover a channel name, without a look at any other pattern."""

from typing import Generic, TypeVar

from eventhub.common.channel_pattern import ChannelPattern

T = TypeVar("T")


class _Node(Generic[T]):
    """Patterns that begin with the same tokens."""

    __slots__ = ("following", "values")

    def __init__(self) -> None:
        self.following: dict[str, _Node[T]] = {}
        self.values: list[T] = []
        """At most one: that of the pattern that ends here."""


class PatternIndex(Generic[T]):
    """A value for each pattern, in a tree of their tokens.

    A look-up follows the tokens of the name, and at each one also `*` and `>`. So it visits the
    patterns that cover the name, and beginnings that fit the beginning of the name.
    """

    __slots__ = ("_root",)

    def __init__(self) -> None:
        self._root = _Node[T]()

    def add(self, pattern: ChannelPattern, value: T) -> None:
        """Keep a value. The pattern has none yet."""
        node = self._root
        for token in pattern.text.split("."):
            node = node.following.setdefault(token, _Node())
        node.values.append(value)

    def discard(self, pattern: ChannelPattern) -> None:
        """Forget the value of a pattern. It may have none."""
        path = [self._root]
        tokens = pattern.text.split(".")
        for token in tokens:
            if (node := path[-1].following.get(token)) is None:
                return
            path.append(node)
        path[-1].values.clear()
        while tokens and not (path[-1].values or path[-1].following):
            path.pop()
            del path[-1].following[tokens.pop()]

    def covering(self, channel: str) -> list[T]:
        """The values of all patterns that cover a channel name."""
        found: list[T] = []
        nodes = [self._root]
        for token in channel.split("."):
            reached: list[_Node[T]] = []
            for node in nodes:
                following = node.following
                if (rest := following.get(">")) is not None:
                    found += rest.values
                if (same := following.get(token)) is not None:
                    reached.append(same)
                if (any_ := following.get("*")) is not None:
                    reached.append(any_)
            if not reached:
                return found
            nodes = reached
        for node in nodes:
            found += node.values
        return found
