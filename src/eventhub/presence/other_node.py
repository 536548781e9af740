"""What a node knows of another node. Its rules are in `roster.py`."""

ASK_AGAIN = 1_000
"""Milliseconds between two requests to the same node for all its members."""


class OtherNode:
    """What this node knows of another node. `heard` and `asked` are times in milliseconds."""

    __slots__ = ("asked", "heard", "incoming", "members", "number")

    def __init__(self, now: int) -> None:
        self.heard = now
        self.asked = now - ASK_AGAIN
        self.number: int | None = None
        """The number of its last batch. None until all its members are known."""
        self.members: dict[str, set[str]] = {}
        self.incoming: tuple[int, int, dict[str, set[str]]] | None = None
        """The parts of its members that have come: their number, the next part, the members."""
