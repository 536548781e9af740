"""Who is in which channel, on all nodes. A member is one id, however many connections it has. No I/O.

Every node keeps the members of every node: its own, counted, and those that others tell. Nothing is stored at the broker, which only
carries messages from each node to all, at most once. The rules:

1. A node tells what changed, in numbered batches. Who sees a number missing, or does not know the node, asks it for everything.
2. Everything comes in parts, numbered like the last batch before it; it replaces what was known of that node. Members of a part are
   there at once, those that no part named have gone with the last one: no message is more than a batch of work.
3. A node that says nothing tells its number instead, every BEAT; one that is silent for SILENCE is gone, and its members with it. A node
   hears itself, too: while it does not, for DEAF, it is the one that hears nothing, and that time is nobody's silence.
4. Members whose connections a node sent away, as it is about to stop, stay its own until it is silent: by then they are another's, too.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

MEMBER_LENGTH = 64
NODE_LENGTH = 64
"""Characters of a node's id, which questions to it repeat."""
BEAT = 2_000
"""Milliseconds between two messages of a node at most."""
SILENCE = 7_000
"""Milliseconds of silence after which a node is gone: three beats and a bit."""
DEAF = BEAT + 500
"""Milliseconds without any message, not even this node's own: the broker was away, or this process
got no core.
"""
ASK_AGAIN = 1_000
"""Milliseconds between two questions to the same node."""
BATCH = 250
"""Members in one message: 160 KB at most, with the longest names and with ids that JSON has to
escape.
"""


class PresenceChange(NamedTuple):
    """A member that came to a channel, or left it, on whichever node."""

    channel: str
    member: str
    joined: bool


class OtherNode:
    """What is known of another node."""

    __slots__ = ("asked", "heard", "incoming", "number", "rooms")

    def __init__(self, now: int) -> None:
        self.heard = now
        self.asked = now - ASK_AGAIN
        self.number: int | None = None
        """Of its last batch; None until everything of it is known."""
        self.rooms: dict[str, set[str]] = {}
        self.incoming: tuple[int, int, dict[str, set[str]]] | None = None
        """Everything, as far as it has come: its number, the next part's, the rooms."""


class Roster:
    """Members by channel. `node` is this node's id, unique to this run of it."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._rooms: dict[
            str, dict[str, int]
        ] = {}  # how many hold a member: subscriptions here, and other nodes
        self._own: dict[str, dict[str, int]] = {}  # of those, subscriptions here
        self._news: dict[tuple[str, str], bool] = {}  # what other nodes do not know yet
        self._number = 0
        self._peers: dict[str, OtherNode] = {}
        self._questions: list[str | None] = [None]  # to everybody, at first
        self._asked = False
        self._told = -BEAT
        self._heard = 0  # when any message came, of whichever node

    # This node's members

    def join(self, channel: str, member: str) -> bool:
        """True when the member was nowhere before."""
        own = self._own.setdefault(channel, {})
        own[member] = own.get(member, 0) + 1
        if own[member] == 1:
            self._note(channel, member, joined=True)
        return self._hold(channel, member)

    def leave(self, channel: str, member: str) -> bool:
        """True when the member is nowhere any more."""
        own = self._own[channel]
        own[member] -= 1
        if not own[member]:
            del own[member]
            if not own:
                del self._own[channel]
            self._note(channel, member, joined=False)
        return self._release(channel, member)

    def members(self, channel: str) -> list[str]:
        """In the order of their arrival, as this node heard of it."""
        return list(self._rooms.get(channel, ()))

    def count(self, channel: str) -> int:
        """How many members there are."""
        return len(self._rooms.get(channel, ()))

    # Other nodes

    @property
    def nodes(self) -> set[str]:
        """Those that have been heard of, and lately."""
        return set(self._peers)

    def hear(self, message: bytes, now: int) -> list[PresenceChange]:
        """Take in what a node told all; `now` in milliseconds. What no node can have written raises an error of one kind or another."""
        told = orjson.loads(message)
        _check(told)
        self._listen(now)
        node = told["node"]
        if node == self._node:
            return []
        if "ask" in told:
            self._asked = self._asked or told["ask"] in (None, self._node)
            return []
        peer = self._peers.get(node)
        if peer is None:
            peer = self._peers[node] = OtherNode(now)
        peer.heard = now
        if "rooms" in told:
            return self._take_part(peer, told)
        news = told.get("news", ())
        if peer.number is None or told["number"] != peer.number + bool(news):
            self._ask(node, peer, now)
            return []
        peer.number = told["number"]
        return [
            change
            for channel, member, joined in news
            for change in self._apply(peer, channel, member, joined=joined)
        ]

    def expire(self, now: int) -> Iterator[PresenceChange]:
        """Forget nodes that have been silent for too long, member by member: other calls may come in between."""
        if now - self._heard > DEAF:
            return
        for node in [node for node, peer in self._peers.items() if now - peer.heard > SILENCE]:
            yield from self._drop(node)

    def messages(self, now: int) -> Iterator[bytes]:
        """What is to be told to all other nodes now."""
        for node in self._questions:
            yield self._message(ask=node)
        self._questions = []
        news = [(channel, member, joined) for (channel, member), joined in self._news.items()]
        self._news = {}
        for begin in range(0, len(news), BATCH):
            self._number += 1
            yield self._message(number=self._number, news=news[begin : begin + BATCH])
        if self._asked:
            self._asked = False
            yield from self._everything()
        elif not news and now - self._told < BEAT:
            return
        elif not news:
            yield self._message(number=self._number)
        self._told = now

    def _listen(self, now: int) -> None:
        if (deaf := now - self._heard) > DEAF:
            for peer in self._peers.values():
                peer.heard += deaf
        self._heard = now

    def _everything(self) -> Iterator[bytes]:
        members = [(channel, member) for channel, own in self._own.items() for member in own]
        parts = [members[begin : begin + BATCH] for begin in range(0, len(members), BATCH)] or [[]]
        for index, part in enumerate(parts):
            rooms: dict[str, list[str]] = {}
            for channel, member in part:
                rooms.setdefault(channel, []).append(member)
            yield self._message(
                number=self._number, part=index, last=index == len(parts) - 1, rooms=rooms
            )

    def _message(self, **fields: Any) -> bytes:
        return orjson.dumps({"node": self._node, **fields})

    def _take_part(self, peer: OtherNode, told: dict[str, Any]) -> list[PresenceChange]:
        number, part = told["number"], told["part"]
        rooms: dict[str, set[str]] = {}
        if part > 0:
            if peer.incoming is None or peer.incoming[:2] != (number, part):
                return []  # a part was lost: its next number shows it
            rooms = peer.incoming[2]
        changes: list[PresenceChange] = []
        for channel, members in told["rooms"].items():
            rooms.setdefault(channel, set()).update(members)
            for member in members:
                changes += self._apply(peer, channel, member, joined=True)
        if not told["last"]:
            peer.incoming = (number, part + 1, rooms)
            return changes
        peer.incoming, peer.number = None, number
        gone = [
            (channel, member)
            for channel, members in peer.rooms.items()
            for member in members - rooms.get(channel, set())
        ]
        return changes + [
            change for place in sorted(gone) for change in self._apply(peer, *place, joined=False)
        ]

    def _apply(
        self, peer: OtherNode, channel: str, member: str, *, joined: bool
    ) -> list[PresenceChange]:
        if (member in peer.rooms.get(channel, ())) == joined:
            return []
        if joined:
            peer.rooms.setdefault(channel, set()).add(member)
            changed = self._hold(channel, member)
        else:
            peer.rooms[channel].remove(member)
            if not peer.rooms[channel]:
                del peer.rooms[channel]
            changed = self._release(channel, member)
        return [PresenceChange(channel, member, joined)] if changed else []

    def _drop(self, node: str) -> Iterator[PresenceChange]:
        peer = self._peers.pop(node, None)
        while peer is not None and peer.rooms:  # should it come back meanwhile, it is another peer
            channel, members = peer.rooms.popitem()
            for member in members:
                if self._release(channel, member):
                    yield PresenceChange(channel, member, joined=False)

    def _ask(self, node: str, peer: OtherNode, now: int) -> None:
        peer.number = None
        if now - peer.asked >= ASK_AGAIN:
            peer.asked = now
            self._questions.append(node)

    def _note(self, channel: str, member: str, *, joined: bool) -> None:
        if (
            self._news.pop((channel, member), joined) == joined
        ):  # otherwise it came and went before anybody was told
            self._news[channel, member] = joined

    def _hold(self, channel: str, member: str) -> bool:
        room = self._rooms.setdefault(channel, {})
        room[member] = room.get(member, 0) + 1
        return room[member] == 1

    def _release(self, channel: str, member: str) -> bool:
        room = self._rooms[channel]
        room[member] -= 1
        if room[member]:
            return False
        del room[member]
        if not room:
            del self._rooms[channel]
        return True


def _check(told: Any) -> None:
    """Before anything of it is taken in: half of a message would leave members that nobody can take back."""
    news, rooms = told.get("news", []), told.get("rooms", {})
    changes = [(str, str, bool)] * len(news)
    if not (
        isinstance(told["node"], str)
        and 0 < len(told["node"]) <= NODE_LENGTH
        and ("ask" in told or type(told["number"]) is int)
        and [tuple(map(type, change)) for change in news] == changes
        and all(
            type(members) is list and all(type(member) is str for member in members)
            for members in rooms.values()
        )
        and (
            "rooms" not in told
            or (type(told["part"]) is int and told["part"] >= 0 and type(told["last"]) is bool)
        )
    ):
        raise ValueError(
            "expected a node's id, a number, and members that are texts, in a part with a number"
        )
