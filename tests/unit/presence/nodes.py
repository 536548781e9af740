"""Several nodes whose rosters hear each other."""

import random

from eventhub.presence.member_data import PresenceChange
from eventhub.presence.roster import HEARTBEAT, Roster


class Nodes:
    """Rosters on a network that may lose messages. The test moves the clock."""

    def __init__(self, count: int = 2) -> None:
        self.now = 0
        self.rosters = {f"n{number}": Roster(f"n{number}") for number in range(count)}
        self.changes: dict[str, list[PresenceChange]] = {name: [] for name in self.rosters}
        self.sent = 0
        self.exchange()

    def tick(
        self, milliseconds: int, lost: float = 0.0, chance: random.Random | None = None
    ) -> None:
        """Time passes, and every node sends its messages."""
        self.now += milliseconds
        for name, roster in list(self.rosters.items()):
            for message in roster.messages(self.now):
                self.sent += 1
                for other, hearer in self.rosters.items():
                    if chance is None or chance.random() >= lost:
                        self.changes[other] += hearer.on_message(message, self.now)
            self.changes[name] += roster.expire(self.now)

    def pass_by(self, milliseconds: int) -> None:
        """Let this much time pass in steps, as on a node with enough CPU time."""
        for _ in range(milliseconds // 250):
            self.tick(250)

    def exchange(self) -> None:
        """Long enough for every node to know every member."""
        for _ in range(4):
            self.tick(HEARTBEAT // 2)

    def members(self, channel: str = "chat.a") -> list[set[str]]:
        return [set(roster.members(channel)) for roster in self.rosters.values()]
