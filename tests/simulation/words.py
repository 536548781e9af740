"""What members say: their data, each time another, so that a run knows how old what it sees is.

Its chance is its own: without words, a run is the same as before. Half of the runs have words.
"""

from typing import TYPE_CHECKING, Any

import orjson

from eventhub.delivery.subscriber import Subscriber
from tests.simulation.chance import Chance

if TYPE_CHECKING:
    from tests.simulation.client import Client
    from tests.simulation.node import Node
    from tests.simulation.world import World

SALT = 1 << 40
TOLERANCE = 0.002
"""Seconds. Versions are milliseconds, so of two words of one moment either may win."""
NEVER = float("-inf")
"""When a member without data said something."""
SILENT = 3
"""This client, and each fourth after it, says nothing."""


class Words:
    """All that was said, and when a node was told of it."""

    def __init__(self, world: "World", seed: int) -> None:
        self._world = world
        self.chance = Chance(seed + SALT)
        self.spoken = self.chance.happens(0.5)
        """Whether members of this run have data."""
        self._count = 0
        self.told: dict[bytes, float] = {}
        """When the client's node was told, in seconds of the run."""
        self.newest: dict[Subscriber, bytes] = {}
        """The last of each subscriber."""

    @property
    def ordered(self) -> bool:
        """Whether all wall clocks are right, so that the later of two words wins."""
        return not any(node.skewed for node in self._world.nodes)

    def of(self, client: "Client") -> dict[str, int] | None:
        """What a client says next, if it says anything."""
        if not self.spoken or client.number % (SILENT + 1) == SILENT:
            return None
        self._count += 1
        return {"n": self._count}

    def bounds(self) -> dict[str, int]:
        """Of the product, for data."""
        return {"eventhub.presence.broadcasts.DATA_BYTES": self.chance.pick((1, 1400, 64 * 1024))}

    def update(self) -> None:
        """Somebody may say something."""
        if self.spoken and self.chance.happens(0.3):
            client = self.chance.pick(self._world.clients)
            channel = self.chance.pick(self._world.channels)
            client.update(channel)

    def note(self, node: "Node", subscriber: Subscriber, data: bytes) -> None:
        """A node is told."""
        self._world.note(node.name, "is told", subscriber.channel, subscriber.member, data.decode())
        self.told[data] = self._world.loop.time()
        self.newest[subscriber] = data

    def age(self, data: bytes) -> float:
        """When something was said; for a member without data, before everything."""
        return self.told.get(data, NEVER)

    def last_of(self, subscribers: set[Subscriber]) -> bytes:
        """The last that any of them said; b"" if they said nothing."""
        said = [self.newest[each] for each in subscribers if each in self.newest]
        return max(said, key=self.age, default=b"")

    def check_last(self) -> None:
        """What is said at last is what everybody is shown, whatever the clocks say."""
        for client in self._world.clients:
            channels = [channel for channel in client.wanted if client.is_member(channel)]
            if not self.spoken or not channels or self.of(client) is None:
                continue
            assert client.line is not None
            client.update(channels[0])
            said = orjson.dumps({"n": self._count})
            self._world.pass_by(3.0)
            for node in self._world.living:
                shown = dict(node.hub.nodes.listed(channels[0]))[client.member]
                assert shown == said, f"{node.name} shows {shown!r}, not the newer {said!r}"
            return


def told(message: dict[str, Any]) -> dict[str, bytes] | int:
    """The members of a message with their data, or their number in a crowd."""
    if "members" not in message:
        return int(message["count"])
    assert message["count"] == len(message["members"])
    return data_of(message["members"])


def data_of(members: list[dict[str, Any]]) -> dict[str, bytes]:
    """Each member's data, b"" for none."""
    return {
        member["id"]: orjson.dumps(member["data"]) if "data" in member else b""
        for member in members
    }
