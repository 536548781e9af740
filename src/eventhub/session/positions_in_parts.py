"""The positions of a pattern's channels, when they are too many for one `subscribe` command.

A command with `more` is not answered. The next one for the pattern without `more` subscribes.
"""

from eventhub.errors import InvalidSince
from eventhub.session.commands import Subscribe


class PositionsInParts:
    """The parts that a connection has sent so far, by pattern."""

    __slots__ = ("_bytes", "_limit", "_parts")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._parts: dict[str, dict[str, str]] = {}

    def whole(self, command: Subscribe) -> Subscribe | None:
        """The command with the positions of all parts; None if more follow. Raises InvalidSince.

        After an error, the parts of the pattern are forgotten.
        """
        before = self._parts.pop(command.channel, {})
        self._bytes -= _size(before)
        if isinstance(command.since, str) or command.since is None:
            if before or command.more:
                expected = "expected an object of positions, as in the parts before it"
                found = "missing" if command.since is None else f"{command.since!r:.60}"
                raise InvalidSince(f"since is {found}; {expected}")
            return command
        positions = {**before, **command.since}
        if not command.more:
            return command.model_copy(update={"since": positions})
        self._bytes += _size(positions)
        if self._bytes > self._limit:
            self._bytes -= _size(positions)
            raise InvalidSince(
                f"the positions of {command.channel!r:.60} in parts have more than {self._limit} "
                "bytes (limits.buffer_bytes)"
            )
        self._parts[command.channel] = positions
        return None


def _size(positions: dict[str, str]) -> int:
    return sum(len(name) + len(position) for name, position in positions.items())
