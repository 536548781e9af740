"""Keeps the blocks of operators the same on all nodes.

Messages between nodes may be lost, so every node repeats all decisions from time to time, and at
once when another node appears or asks. Decisions are merged, so their order does not matter.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from itertools import count

import orjson

from eventhub.auth.blocks import BlockDecision, Blocks
from eventhub.errors import BrokerUnavailable
from eventhub.hub.hub import Hub
from eventhub.server.connections.registry import ConnectionRegistry

TOPIC = b"blocks"
QUESTION = b"?"
"""Sent by a node that has just started: which decisions are there?"""
REPEAT_SECONDS = 15
ROWS = 150
"""Decisions in one message. Names have up to 200 characters, which JSON may escape."""


class BlockReplication:
    """Sends decisions to the other nodes, and applies theirs to the connections of this node."""

    def __init__(self, blocks: Blocks, registry: ConnectionRegistry, hub: Hub) -> None:
        self._blocks = blocks
        self._registry = registry
        self._hub = hub
        self._asked = asyncio.Event()
        hub.nodes.listen(TOPIC, self._on_message)

    async def run(self) -> None:
        """Repeat the decisions until cancelled."""
        known: set[str] = set()
        with suppress(BrokerUnavailable):
            await self._hub.nodes.broadcast(TOPIC, QUESTION)
        for second in count():
            with suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._asked.wait()
                    known = set()
            self._asked.clear()
            nodes = self._hub.nodes.others
            if not nodes <= known or second % REPEAT_SECONDS == 0:
                self._blocks.expire(self._hub.now())
                await self._repeat(nodes)
            known = nodes

    async def _repeat(self, nodes: set[str]) -> None:
        """Send all decisions if there are other nodes. A bad decision does not end the loop."""
        try:
            await self.send(list(self._blocks) if nodes else ())
        except Exception as error:
            self._hub.faults.note("blocks", error, decisions=len(self._blocks))

    async def send(self, decisions: Iterable[BlockDecision]) -> None:
        """Send decisions to the other nodes. A message that is lost is repeated by `run`."""
        rows = [decision.as_row() for decision in decisions]
        for begin in range(0, len(rows), ROWS):
            with suppress(BrokerUnavailable):
                await self._hub.nodes.broadcast(TOPIC, orjson.dumps(rows[begin : begin + ROWS]))

    def _on_message(self, message: bytes) -> None:
        if message == QUESTION:
            self._asked.set()
            return
        decisions = map(BlockDecision.of_row, orjson.loads(message))
        for target in self._blocks.merge(decisions):
            self._registry.disconnect(target, blocked=True)
