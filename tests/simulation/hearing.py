"""What a node hears of the others: their presence messages (presence/roster.py, rule 3)."""

from collections.abc import Callable

from eventhub.presence.roster import DEAF, SILENCE

MESSAGE = b"{"
"""How messages of presence begin. Messages under a topic do not count."""


class Hearing:
    """When the last message of each node came. Times are in milliseconds, as in the roster."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._heard: dict[str, int] = {}
        """By node, later by the time in which nobody was heard."""
        self._heard_any = 0
        self._fell_silent: set[str] = set()

    def hear(self, node: str, message: bytes) -> None:
        """A message came."""
        if not message.startswith(MESSAGE):
            return
        self._note_silence()
        now = self._now()
        if (deaf := now - self._heard_any) > DEAF:
            self._heard = {name: heard + deaf for name, heard in self._heard.items()}
        self._heard[node] = self._heard_any = now

    def take_silent(self) -> set[str]:
        """The nodes that were silent for SILENCE, now or at any time since the last call."""
        self._note_silence()
        silent, self._fell_silent = self._fell_silent, set()
        return silent

    def silence(self, node: str) -> int:
        """For how long a node has not been heard, until this one was deaf."""
        return min(self._now(), self._heard_any + DEAF) - self._heard[node]

    def hears(self, node: str) -> bool:
        """Whether a node has been heard lately."""
        return node in self._heard and self._now() - self._heard[node] < DEAF

    def _note_silence(self) -> None:
        latest = min(self._now(), self._heard_any + DEAF) - SILENCE
        for node, heard in self._heard.items():
            if heard < latest:
                self._fell_silent.add(node)

    def _now(self) -> int:
        return int(self._seconds() * 1000)
