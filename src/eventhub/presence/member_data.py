"""The data of members: what their subscriptions here gave, and what other nodes say. No I/O.

A member has one data object at a time, however many connections it has: the one that was set last
among those that are still there. The rules:

1. Each value has a version, which is later than every version that this node knew when the value
   was set, and not earlier than the wall clock. So an update is never older than what was seen
   where it was made, even if the clocks of two nodes differ.
2. The newest version is shown. Two of the same version are ordered by their nodes, so all nodes
   show the same.
3. A value is gone with its subscription, or with its node. Then the next newest is shown.
"""

from typing import NamedTuple

import orjson

LAST_VERSION = 2**53
"""Larger than the milliseconds of any clock. A later version cannot be real."""

Place = tuple[str, str]
"""A channel and a member."""


class Data(NamedTuple):
    """A value: which is newer, the node where it was set, and its JSON (b"" for none)."""

    version: int
    node: str
    json: bytes


NOTHING = Data(0, "", b"")
"""The data of a member that never gave any. Every other value is newer."""


class PresenceChange(NamedTuple):
    """A member joined or left a channel, on any node, or its data changed.

    `before` and `after` are its data as JSON: b"" for none, and None while it is not a member.
    """

    channel: str
    member: str
    before: bytes | None
    after: bytes | None


class MemberData:
    """All values by place. A member without data has no entry."""

    __slots__ = ("_elsewhere", "_node", "_own", "_version")

    def __init__(self, node: str) -> None:
        self._node = node
        self._version = 0  # the latest that this node knows
        self._own: dict[Place, dict[object, Data]] = {}
        """By subscription here. The newest is the last."""
        self._elsewhere: dict[Place, dict[object, Data]] = {}
        """By other node."""

    def __len__(self) -> int:
        return len(self._own) + len(self._elsewhere)

    def shown(self, place: Place) -> bytes:
        """The newest value, as JSON; b"" for none."""
        newest = self.own(place)
        if (others := self._elsewhere.get(place)) is not None:
            newest = max(newest, *others.values())
        return newest.json

    def own(self, place: Place) -> Data:
        """The newest value that was set here, or NOTHING."""
        values = self._own.get(place)
        return NOTHING if values is None else values[next(reversed(values))]

    def set_own(self, place: Place, source: object, json: bytes, time: int) -> None:
        """A subscription here sets its value at `time`, in milliseconds by the wall clock."""
        self._version = min(max(self._version + 1, time), LAST_VERSION)
        values = self._own.setdefault(place, {})
        values.pop(source, None)
        values[source] = Data(self._version, self._node, json)

    def drop_own(self, place: Place, source: object) -> None:
        """A subscription here has ended."""
        _drop(self._own, place, source)

    def set_elsewhere(self, place: Place, node: object, data: Data) -> None:
        """Another node says its newest value, which may be NOTHING."""
        if data is NOTHING:
            _drop(self._elsewhere, place, node)
            return
        self._version = max(self._version, data.version)
        self._elsewhere.setdefault(place, {})[node] = data


def member_json(member: str, data: bytes) -> bytes:
    """A member as clients see it. `data` is JSON, b"" for none."""
    if not data:
        return b'{"id":%b}' % orjson.dumps(member)
    return b'{"id":%b,"data":%b}' % (orjson.dumps(member), data)


def _drop(values: dict[Place, dict[object, Data]], place: Place, source: object) -> None:
    if (found := values.get(place)) is not None:
        found.pop(source, None)
        if not found:
            del values[place]
