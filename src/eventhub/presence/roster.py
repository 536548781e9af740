"""Who is present in which channel, on all nodes. No I/O.

A member is one id, however many connections it has. Every node keeps the members of every node. The
broker stores nothing: it carries messages from each node to all, at most once. The rules:

1. A node broadcasts its changes in numbered batches. If a number is missing, or the sender is
   unknown, the receiver asks the sender for all its members.
2. A node sends all its members in parts, with the number of its last batch. They replace the
   earlier list of that node. The members of a part are present at once. After the last part,
   members that no part named are gone. So no message is more work than one batch.
3. A node without changes sends its number every HEARTBEAT. After SILENCE without a message from a
   node, the node and its members are removed. A node also receives its own messages. When it has
   received none for DEAF, its own connection is at fault, and it does not count that time as the
   silence of other nodes.
4. When a node is about to stop, it keeps the members of the connections that it sent away until it
   is silent. By then they are members on another node.
5. A change of a member's data is sent like a join. All members are sent with their data, and a
   member that is sent without data has none. `member_data.py` says which data is shown.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from eventhub.presence import broadcasts
from eventhub.presence.broadcasts import Row
from eventhub.presence.member_data import NOTHING, Data, MemberData, Place, PresenceChange
from eventhub.presence.other_node import ASK_AGAIN, OtherNode

MEMBER_LENGTH = 64
HEARTBEAT = 2_000
"""Milliseconds: a node sends a message at least this often."""
SILENCE = 7_000
"""Milliseconds of silence after which a node is gone: a little more than three heartbeats."""
DEAF = HEARTBEAT + 500
"""Milliseconds without any message, not even from this node itself: the broker was away, or this
process got no CPU time.
"""


class Roster:
    """The members of every channel. `node` is this node's id, unique to this run of it."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._members: dict[str, dict[str, int]] = {}
        """By channel, with the number of subscriptions here and of other nodes that have them."""
        self._own: dict[str, dict[str, int]] = {}  # subscriptions here
        self._data = MemberData(node)
        self._changes: dict[Place, Data | None] = {}
        """Members to tell of, and what the other nodes know. None: that it is not here."""
        self._number = 0
        self._others: dict[str, OtherNode] = {}
        self._questions: list[str | None] = [None]  # nodes to ask, None for all
        self._asked = False
        self._last_sent = -HEARTBEAT
        self._last_message = 0  # when the last message of any node came

    # This node's members

    def join(self, channel: str, member: str) -> list[PresenceChange]:
        """A subscription here begins. Returns the change, none if the member was there before."""
        place = channel, member
        known, before = self._own_data(place), self.state(place)
        own = self._own.setdefault(channel, {})
        own[member] = own.get(member, 0) + 1
        self._add(channel, member)
        self._note(place, known)
        return self._changed(place, before)

    def leave(self, channel: str, member: str, subscription: object = None) -> list[PresenceChange]:
        """A subscription here ends, and so does its data. Returns the change, if there is one."""
        place = channel, member
        known, before = self._own_data(place), self.state(place)
        own = self._own[channel]
        own[member] -= 1
        if not own[member]:
            del own[member]
            if not own:
                del self._own[channel]
        self._data.drop_own(place, subscription)
        self._remove(channel, member)
        self._note(place, known)
        return self._changed(place, before)

    def set_data(
        self, place: Place, subscription: object, json: bytes, time: int
    ) -> list[PresenceChange]:
        """The data of a subscription here is this JSON, b"" for none, from now on.

        `time` is in milliseconds by the wall clock. Returns the change, if members show one.
        """
        known, before = self._own_data(place), self.state(place)
        self._data.set_own(place, subscription, json, time)
        self._note(place, known)
        return self._changed(place, before)

    def members(self, channel: str) -> list[str]:
        """Member ids, in the order in which this node learned of them."""
        return list(self._members.get(channel, ()))

    def listed(self, channel: str) -> list[tuple[str, bytes]]:
        """The members in the same order, each with its data as JSON, b"" for none."""
        return [(member, self._data.shown((channel, member))) for member in self.members(channel)]

    def count(self, channel: str) -> int:
        """The number of members."""
        return len(self._members.get(channel, ()))

    def channels(self) -> list[str]:
        """The channels with members."""
        return list(self._members)

    def state(self, place: Place) -> bytes | None:
        """A member's data as JSON, b"" for none. None: it is not a member."""
        channel, member = place
        return self._data.shown(place) if member in self._members.get(channel, ()) else None

    # Other nodes

    @property
    def nodes(self) -> set[str]:
        """The ids of the other nodes that are not silent."""
        return set(self._others)

    def on_message(self, message: bytes, now: int) -> list[PresenceChange]:
        """Take in a broadcast at `now` in milliseconds. Returns the changes.

        A message that no node can have written raises an error of any kind, before any change.
        """
        fields = orjson.loads(message)
        data = broadcasts.check(fields)
        self._note_message(now)
        node = fields["node"]
        if node == self._node:
            return []
        if (other := self._others.get(node)) is not None:
            other.heard = now
        if "ask" in fields:
            self._asked = self._asked or fields["ask"] in (None, self._node)
            return []
        if other is None:
            other = self._others[node] = OtherNode(now)
        if "rooms" in fields:
            return self._take_part(other, fields, data)
        changes = fields.get("news", ())
        if other.number is None or fields["number"] != other.number + bool(changes):
            self._ask(node, other, now)
            return []
        other.number = fields["number"]
        return [
            change
            for channel, member, joined in changes
            for change in self._apply(other, (channel, member), data, joined=joined)
        ]

    def expire(self, now: int) -> Iterator[PresenceChange]:
        """Forget nodes that have been silent for SILENCE, one member at a time.

        Other methods may be called between two members.
        """
        if now - self._last_message > DEAF:
            return
        for node in [node for node, other in self._others.items() if now - other.heard > SILENCE]:
            yield from self._forget(node)

    def messages(self, now: int) -> Iterator[bytes]:
        """The messages to broadcast now. What changes meanwhile is in none of them."""
        for node in self._questions:
            yield self._message(ask=node)
        self._questions = []
        changes = [Row(*place, self._own_data(place)) for place in self._changes]
        everybody = self._everybody() if self._asked else None
        self._changes, self._asked = {}, False
        for batch in broadcasts.batches(changes):
            self._number += 1
            yield self._message(number=self._number, **broadcasts.news(batch))
        if everybody is not None:
            for part in broadcasts.parts(everybody):
                yield self._message(number=self._number, **part)
        elif not changes and now - self._last_sent < HEARTBEAT:
            return
        elif not changes:
            yield self._message(number=self._number)
        self._last_sent = now

    def _note_message(self, now: int) -> None:
        if (deaf := now - self._last_message) > DEAF:
            for other in self._others.values():
                other.heard += deaf
        self._last_message = now

    def _everybody(self) -> list[Row]:
        return [
            Row(channel, member, self._data.own((channel, member)))
            for channel, own in self._own.items()
            for member in own
        ]

    def _message(self, **fields: Any) -> bytes:
        return orjson.dumps({"node": self._node, **fields})

    def _take_part(
        self, other: OtherNode, fields: dict[str, Any], data: dict[Place, Data]
    ) -> list[PresenceChange]:
        number, part = fields["number"], fields["part"]
        received: dict[str, set[str]] = {}
        if part > 0:
            if other.incoming is None or other.incoming[:2] != (number, part):
                return []  # a part was lost: the next batch shows it
            received = other.incoming[2]
        changes: list[PresenceChange] = []
        for channel, members in fields["rooms"].items():
            received.setdefault(channel, set()).update(members)
            for member in members:
                changes += self._apply(other, (channel, member), data, joined=True)
        if not fields["last"]:
            other.incoming = (number, part + 1, received)
            return changes
        other.incoming, other.number = None, number
        gone = [
            (channel, member)
            for channel, members in other.members.items()
            for member in members - received.get(channel, set())
        ]
        return changes + [
            change
            for place in sorted(gone)
            for change in self._apply(other, place, data, joined=False)
        ]

    def _apply(
        self, other: OtherNode, place: Place, data: dict[Place, Data], *, joined: bool
    ) -> list[PresenceChange]:
        channel, member = place
        before = self.state(place)
        known = member in other.members.get(channel, ())
        if joined:
            self._data.set_elsewhere(place, other, data.get(place, NOTHING))
            if not known:
                other.members.setdefault(channel, set()).add(member)
                self._add(channel, member)
        elif known:
            self._data.set_elsewhere(place, other, NOTHING)
            other.members[channel].remove(member)
            if not other.members[channel]:
                del other.members[channel]
            self._remove(channel, member)
        return self._changed(place, before)

    def _forget(self, node: str) -> Iterator[PresenceChange]:
        other = self._others.pop(node, None)
        # a node that comes back meanwhile is a new object
        while other is not None and other.members:
            channel, members = other.members.popitem()
            for member in members:
                place = channel, member
                before = self.state(place)
                self._data.set_elsewhere(place, other, NOTHING)
                self._remove(channel, member)
                yield from self._changed(place, before)

    def _ask(self, node: str, other: OtherNode, now: int) -> None:
        other.number = None
        if now - other.asked >= ASK_AGAIN:
            other.asked = now
            self._questions.append(node)

    def _own_data(self, place: Place) -> Data | None:
        """What the other nodes should know of a member here. None: that it is not here."""
        channel, member = place
        return self._data.own(place) if member in self._own.get(channel, ()) else None

    def _note(self, place: Place, known: Data | None) -> None:
        """Tell the other nodes of a member. `known` is what was to be known of it until now."""
        if self._changes.setdefault(place, known) == self._own_data(place):
            del self._changes[place]  # the changes cancel out

    def _changed(self, place: Place, before: bytes | None) -> list[PresenceChange]:
        after = self.state(place)
        return [] if before == after else [PresenceChange(*place, before, after)]

    def _add(self, channel: str, member: str) -> None:
        members = self._members.setdefault(channel, {})
        members[member] = members.get(member, 0) + 1

    def _remove(self, channel: str, member: str) -> None:
        members = self._members[channel]
        members[member] -= 1
        if not members[member]:
            del members[member]
            if not members:
                del self._members[channel]
