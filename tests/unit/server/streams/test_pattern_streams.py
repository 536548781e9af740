"""Streams of a pattern, on random interleavings with cuts and kills."""

import pytest

from tests.harness.virtual_time import in_virtual_time
from tests.unit.server.streams.pattern_world import World

CLIENTS = [("sse", "earliest"), ("sse", "earliest"), ("ndjson", "earliest")]


@pytest.mark.parametrize("channels", [3, 200])
@pytest.mark.parametrize("seed", range(10))
@in_virtual_time
async def test_every_client_gets_every_event_once_and_in_order(seed: int, channels: int) -> None:
    world = World(seed, channels=channels)
    await world.run(CLIENTS, 150)
    assert all(client.longest < 1300 for client in world.clients)
