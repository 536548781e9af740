"""Refused events are kept on every broker, and all nodes show the same ones."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

from eventhub.common.faults import Faults
from eventhub.errors import EventHubError, InvalidEvent
from eventhub.events.channel_types import ChannelTypes
from eventhub.events.refused_event import Received, RefusedRetention
from eventhub.hub.refused_events import RefusedEvents
from tests.contract.conftest import Backend, Node
from tests.harness.builders import channel_type

KEPT = RefusedRetention(3, 60_000)
"""The broker keeps twice as many records."""
IOT = replace(channel_type(), name="iot", refused=KEPT)


class Desk:
    """The refused events of one node, which are stored when it is told so."""

    def __init__(self, node: Node) -> None:
        self._work: list[Coroutine[Any, Any, None]] = []
        types = ChannelTypes({"iot": IOT})
        self.refused = RefusedEvents(types, node.broker, self._spawn, Faults(), node.clock)

    def _spawn(
        self,
        work: Coroutine[Any, Any, None],
        where: str,
        failed: Callable[[EventHubError], None],
    ) -> None:
        self._work.append(work)

    async def keep(self, *bodies: bytes) -> None:
        for body in bodies:
            self.refused.add(InvalidEvent("no"), Received("iot.t1", body, "ana", "http"))
        while self._work:
            await self._work.pop()

    async def shown(self) -> dict[bytes, str]:
        """Ids by payload, the oldest first."""
        heads = await self.refused.heads(IOT)
        entries = [await self.refused.entry(IOT, head.id) for head in heads]
        return {entry.payload: entry.id for entry in entries}


def test_what_one_node_keeps_or_removes_the_other_one_shows_or_not(start_nodes: Backend) -> None:
    async def scenario() -> None:
        async with start_nodes(2) as nodes:
            here, there = map(Desk, nodes)
            assert await there.shown() == {}
            await here.keep(b"1", b"\xff", "ç".encode(), b"4")
            shown = await there.shown()
            assert list(shown) == [b"\xff", "ç".encode(), b"4"]
            entry = await here.refused.entry(IOT, shown["ç".encode()])
            await there.refused.remove(IOT, entry)
            await here.refused.remove(IOT, entry)
            assert list(await here.shown()) == [b"\xff", b"4"]
            await there.keep(b"5")
            assert list(await here.shown()) == list(await there.shown()) == [b"4", b"5"]
            nodes[0].clock.advance(61)
            assert await here.shown() == await there.shown() == {}

    asyncio.run(scenario())
