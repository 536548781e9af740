"""Who is in the channels of a follower: its own member, and the lists of all members."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal

from eventhub_client.items import Member, Presence, member_of

Data = Mapping[str, Any] | None
CHANGES = ("join", "leave", "update")


class Membership:
    """One's own member in the channels of a `follow`. Threads may share it.

    `update` replaces its data: at once where it is connected, otherwise with the next connection.
    """

    def __init__(self, id: str, data: Data = None) -> None:  # noqa: A002  # the protocol's word
        self.id = id
        self._data = data
        self._version = 0
        self._senders: list[Callable[[Data], None]] = []
        self._lock = threading.Lock()

    @property
    def data(self) -> Data:
        """What the others see, or will."""
        return self._data

    def update(self, data: Data) -> None:
        """Replace the data, an object, as a whole. None removes it. It never waits.

        An update that the server refuses is raised by `follow`.
        """
        with self._lock:
            self._data = data
            self._version += 1
            for send in self._senders:
                send(data)

    def current(self) -> tuple[dict[str, Any], int]:
        """The `member` of a subscription, and the version of its data."""
        with self._lock:
            data = {} if self._data is None else {"data": dict(self._data)}
            return {"id": self.id, **data}, self._version

    def attach(self, send: Callable[[Data], None], version: int) -> None:
        """Call `send` for each update that is newer than this version."""
        with self._lock:
            self._senders.append(send)
            if version != self._version:
                send(self._data)

    def detach(self, send: Callable[[Data], None]) -> None:
        """Its connection is gone."""
        with self._lock:
            self._senders = [each for each in self._senders if each != send]


class Rosters:
    """The members of each channel, from the messages about them."""

    def __init__(self) -> None:
        self._members: dict[str, dict[str, Member] | None] = {}
        self._counts: dict[str, int] = {}

    def presence_of(self, message: Mapping[str, Any]) -> Presence:
        """From a `subscribed`, `presence`, `join`, `leave` or `update` message."""
        channel = message["channel"]
        kind = message["type"]
        if kind not in CHANGES:
            listed = message.get("members")
            found = None if listed is None else {each["id"]: member_of(each) for each in listed}
            self._members[channel], self._counts[channel] = found, message["count"]
            return self._presence(channel, None, None)
        member = member_of(message["member"])
        known = self._members.get(channel)
        if known is not None:
            if kind == "leave":
                known.pop(member.id, None)
            else:
                known[member.id] = member
            self._counts[channel] = len(known)
        return self._presence(channel, kind, member)

    def _presence(
        self,
        channel: str,
        change: Literal["join", "leave", "update"] | None,
        member: Member | None,
    ) -> Presence:
        known = self._members.get(channel)
        members = None if known is None else tuple(known.values())
        return Presence(channel, self._counts.get(channel, 0), members, change, member)
