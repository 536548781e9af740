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
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

MEMBER_LENGTH = 64
NODE_LENGTH = 64
"""Characters of a node's id."""
HEARTBEAT = 2_000
"""Milliseconds: a node sends a message at least this often."""
SILENCE = 7_000
"""Milliseconds of silence after which a node is gone: a little more than three heartbeats."""
DEAF = HEARTBEAT + 500
"""Milliseconds without any message, not even from this node itself: the broker was away, or this
process got no CPU time.
"""
ASK_AGAIN = 1_000
"""Milliseconds between two requests to the same node for all its members."""
BATCH = 250
"""Members in one message: at most 160 KB, with the longest names and with ids that JSON escapes."""


class PresenceChange(NamedTuple):
    """A member joined or left a channel, on any node."""

    channel: str
    member: str
    joined: bool


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


class Roster:
    """The members of every channel. `node` is this node's id, unique to this run of it."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._members: dict[str, dict[str, int]] = {}
        """By channel, with the number of subscriptions here and of other nodes that have them."""
        self._own: dict[str, dict[str, int]] = {}  # subscriptions here
        self._changes: dict[tuple[str, str], bool] = {}  # changes to broadcast
        self._number = 0
        self._others: dict[str, OtherNode] = {}
        self._questions: list[str | None] = [None]  # nodes to ask, None for all
        self._asked = False
        self._last_sent = -HEARTBEAT
        self._last_message = 0  # when the last message of any node came

    # This node's members

    def join(self, channel: str, member: str) -> bool:
        """A subscription here begins. True when the member was not present before."""
        own = self._own.setdefault(channel, {})
        own[member] = own.get(member, 0) + 1
        if own[member] == 1:
            self._note(channel, member, joined=True)
        return self._add(channel, member)

    def leave(self, channel: str, member: str) -> bool:
        """A subscription here ends. True when the member is no longer present."""
        own = self._own[channel]
        own[member] -= 1
        if not own[member]:
            del own[member]
            if not own:
                del self._own[channel]
            self._note(channel, member, joined=False)
        return self._remove(channel, member)

    def members(self, channel: str) -> list[str]:
        """Member ids, in the order in which this node learned of them."""
        return list(self._members.get(channel, ()))

    def count(self, channel: str) -> int:
        """The number of members."""
        return len(self._members.get(channel, ()))

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
        _check(fields)
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
            return self._take_part(other, fields)
        changes = fields.get("news", ())
        if other.number is None or fields["number"] != other.number + bool(changes):
            self._ask(node, other, now)
            return []
        other.number = fields["number"]
        return [
            change
            for channel, member, joined in changes
            for change in self._apply(other, channel, member, joined=joined)
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
        """The messages to broadcast now."""
        for node in self._questions:
            yield self._message(ask=node)
        self._questions = []
        changes = [(*place, joined) for place, joined in self._changes.items()]
        self._changes = {}
        for begin in range(0, len(changes), BATCH):
            self._number += 1
            yield self._message(number=self._number, news=changes[begin : begin + BATCH])
        if self._asked:
            self._asked = False
            yield from self._everything()
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

    def _everything(self) -> Iterator[bytes]:
        members = [(channel, member) for channel, own in self._own.items() for member in own]
        parts = [members[begin : begin + BATCH] for begin in range(0, len(members), BATCH)] or [[]]
        for index, part in enumerate(parts):
            by_channel: dict[str, list[str]] = {}
            for channel, member in part:
                by_channel.setdefault(channel, []).append(member)
            yield self._message(
                number=self._number, part=index, last=index == len(parts) - 1, rooms=by_channel
            )

    def _message(self, **fields: Any) -> bytes:
        return orjson.dumps({"node": self._node, **fields})

    def _take_part(self, other: OtherNode, fields: dict[str, Any]) -> list[PresenceChange]:
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
                changes += self._apply(other, channel, member, joined=True)
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
            change for place in sorted(gone) for change in self._apply(other, *place, joined=False)
        ]

    def _apply(
        self, other: OtherNode, channel: str, member: str, *, joined: bool
    ) -> list[PresenceChange]:
        if (member in other.members.get(channel, ())) == joined:
            return []
        if joined:
            other.members.setdefault(channel, set()).add(member)
            changed = self._add(channel, member)
        else:
            other.members[channel].remove(member)
            if not other.members[channel]:
                del other.members[channel]
            changed = self._remove(channel, member)
        return [PresenceChange(channel, member, joined)] if changed else []

    def _forget(self, node: str) -> Iterator[PresenceChange]:
        other = self._others.pop(node, None)
        # a node that comes back meanwhile is a new object
        while other is not None and other.members:
            channel, members = other.members.popitem()
            for member in members:
                if self._remove(channel, member):
                    yield PresenceChange(channel, member, joined=False)

    def _ask(self, node: str, other: OtherNode, now: int) -> None:
        other.number = None
        if now - other.asked >= ASK_AGAIN:
            other.asked = now
            self._questions.append(node)

    def _note(self, channel: str, member: str, *, joined: bool) -> None:
        if self._changes.pop((channel, member), joined) == joined:
            self._changes[channel, member] = joined  # otherwise both changes cancel out

    def _add(self, channel: str, member: str) -> bool:
        members = self._members.setdefault(channel, {})
        members[member] = members.get(member, 0) + 1
        return members[member] == 1

    def _remove(self, channel: str, member: str) -> bool:
        members = self._members[channel]
        members[member] -= 1
        if members[member]:
            return False
        del members[member]
        if not members:
            del self._members[channel]
        return True


def _check(fields: Any) -> None:
    """Raise an error unless the whole message is valid: half of it would leave stale members."""
    changes, by_channel = fields.get("news", []), fields.get("rooms", {})
    types = [(str, str, bool)] * len(changes)
    if not (
        isinstance(fields["node"], str)
        and 0 < len(fields["node"]) <= NODE_LENGTH
        and ("ask" in fields or type(fields["number"]) is int)
        and [tuple(map(type, change)) for change in changes] == types
        and all(
            type(members) is list and all(type(member) is str for member in members)
            for members in by_channel.values()
        )
        and (
            "rooms" not in fields
            or (
                type(fields["part"]) is int and fields["part"] >= 0 and type(fields["last"]) is bool
            )
        )
    ):
        raise ValueError(
            "expected a node's id, a number, and members that are texts, in a part with a number"
        )
