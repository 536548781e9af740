"""Who is in which channel. A member is one id, however many connections it has. No I/O."""

MEMBER_LENGTH = 64


class Roster:
    """Members by channel, with the number of subscriptions of each."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, int]] = {}

    def join(self, channel: str, member: str) -> bool:
        """True when the member was not there before."""
        room = self._rooms.setdefault(channel, {})
        room[member] = room.get(member, 0) + 1
        return room[member] == 1

    def leave(self, channel: str, member: str) -> bool:
        """True when that was the member's last subscription."""
        room = self._rooms[channel]
        room[member] -= 1
        if room[member]:
            return False
        del room[member]
        if not room:
            del self._rooms[channel]
        return True

    def members(self, channel: str) -> list[str]:
        """In the order of their arrival."""
        return list(self._rooms.get(channel, ()))
