"""The Redis servers of these tests, and what happens to them under load."""

from collections.abc import Iterator

import pytest

from eventhub.brokers.redis import shard
from eventhub.events.event import Position
from tests.harness.redis_servers import RedisServer
from tests.integration.redis_nodes import CHANNEL, RedisNode

NOTICED_SECONDS = 20
"""Until a node says that it is not ready."""


@pytest.fixture(name="server", scope="module")
def server_fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A shared server, for tests that do not damage it."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(name="patient")
def patient_fixture(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a server may answer late without being lost: no publish may fail."""
    monkeypatch.setattr(shard, "ANSWER_SECONDS", shard.BUSY_SECONDS)


def told(running: list[RedisNode]) -> list[list[str]]:
    """The reasons of the gaps that each reader got."""
    return [node.readers[CHANNEL].reasons() for node in running]


async def texts(node: RedisNode) -> list[str]:
    """The texts of the log."""
    return [text for _, text in await node.log(CHANNEL)]


def position(id_: str) -> Position:
    epoch, _, offset = id_.partition("-")
    return Position(epoch, int(offset))
