"""The signals of a run: who sent which, and what may arrive."""

from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.simulation.client import Line


class Signals:
    """Each signal has a number, in the order in which they were sent."""

    def __init__(self) -> None:
        self._sent: list[tuple[str, str]] = []
        """The channel and the connection of each."""
        self._heard: dict[str, list[int]] = defaultdict(list)
        """By the connection that heard them."""

    def send(self, line: "Line", channel: str) -> int:
        """Send those a signal who are there now. Returns its number."""
        self._sent.append((channel, line.name))
        number = len(self._sent) - 1
        line.send({"type": "publish", "channel": channel, "data": number, "signal": True})
        return number

    def hear(self, listener: str, message: dict[str, Any]) -> None:
        """A connection was given a signal: once, of its channel, in the order of its sender."""
        number, heard = message["data"], self._heard[listener]
        channel, sender = self._sent[number]
        assert message["channel"] == channel, f"of another channel: {message}"
        assert "id" not in message, f"a signal has a place: {message}"
        assert number not in heard, f"{message} came twice"
        later = [each for each in heard if self._sent[each][1] == sender and each > number]
        assert not later, f"{message} came after {later} of the same connection"
        heard.append(number)

    def heard(self, listener: str, number: int) -> bool:
        return number in self._heard[listener]
