"""server/connections/block_replication.py: decisions reach all nodes."""

import asyncio

from eventhub.auth.blocks import BlockDecision, BlockTarget
from tests.unit.server.connections.manager_builder import build


def test_a_decision_that_cannot_be_sent_does_not_end_the_replication() -> None:
    replication = build().operators.block_replication
    replication._blocks.merge(
        [BlockDecision(BlockTarget("key", "ana"), 0, 10**300, blocked=True)]
    )  # no JSON can be made of it
    asyncio.run(replication._repeat({"n2"}))
