"""server/connections/block_replication.py: decisions reach all nodes, and are repeated."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from eventhub.auth.blocks import BlockDecision, BlockTarget
from eventhub.auth.grants import Grants
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.errors import BrokerUnavailable, Revoked
from eventhub.server.connections.block_replication import (
    QUESTION,
    REPEAT_SECONDS,
    ROWS,
    TOPIC,
    BlockReplication,
)
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.connections.manager_builder import OpenConnection, build

END = 4_000_000_000_000


def block(name: str, until: int = END) -> BlockDecision:
    return BlockDecision(BlockTarget("subject", name), 1, until, blocked=True)


class Node:
    """A node with its blocks, and what it tells the others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.manager = build()
        self.replication: BlockReplication = self.manager.operators.block_replication
        self.blocks = self.manager.authentication.blocks
        self.others: set[str] = set()
        self.told: list[bytes] = []
        self.unreachable = False
        nodes = self.manager.hub.nodes
        monkeypatch.setattr(nodes, "broadcast", self._broadcast)
        monkeypatch.setattr(type(nodes), "others", property(lambda _: self.others))

    async def _broadcast(self, topic: bytes, message: bytes) -> None:
        assert topic == TOPIC
        self.told.append(message)
        if self.unreachable:
            raise BrokerUnavailable("away")

    @property
    def repeats(self) -> int:
        """How often the decisions were sent."""
        return sum(message != QUESTION for message in self.told)

    def hear(self, *decisions: BlockDecision) -> None:
        self.replication._on_message(orjson.dumps([each.as_row() for each in decisions]))


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Node]:
    return lambda: Node(monkeypatch)


def test_a_decision_of_another_node_ends_the_connections_of_its_target(
    node: Callable[[], Node],
) -> None:
    one = node()
    ana, ben = OpenConnection(one.manager), OpenConnection(one.manager)
    for connection, name in ((ana, "ana"), (ben, "ben")):
        principal = Principal(CredentialKind.TOKEN, name, Grants({}))
        one.manager._connections[connection].principal = principal
    one.hear(block("ana"))
    assert isinstance(ana.failed, Revoked)
    assert not hasattr(ben, "failed")
    assert [decision.target.value for decision in one.blocks] == ["ana"]


def test_many_decisions_are_sent_in_several_messages(node: Callable[[], Node]) -> None:
    one = node()
    asyncio.run(one.replication.send([block(f"n{number}") for number in range(ROWS + 1)]))
    assert [len(orjson.loads(message)) for message in one.told] == [ROWS, 1]


def test_a_message_that_is_lost_keeps_no_other_from_being_sent(node: Callable[[], Node]) -> None:
    one = node()
    one.unreachable = True
    asyncio.run(one.replication.send([block(f"n{number}") for number in range(ROWS + 1)]))
    assert len(one.told) == 2


def test_a_decision_that_cannot_be_sent_does_not_end_the_replication(
    node: Callable[[], Node],
) -> None:
    one = node()
    one.blocks.merge([block("ana", 10**300)])  # no JSON can be made of it
    asyncio.run(one.replication._repeat({"n2"}))
    assert one.manager.hub.faults.counts == {"blocks": 1}


def nothing() -> None: ...


async def running(one: Node, seconds: float, *steps: Callable[[], Any]) -> None:
    """Let the replication run, with a step behind each of these times."""
    task = asyncio.create_task(one.replication.run())
    await turns()
    for step in (*steps, nothing):
        await asyncio.sleep(seconds)
        step()
        await turns()
    assert not task.done(), "nothing has ended it"
    task.cancel()
    await asyncio.wait([task])


@in_virtual_time
@pytest.mark.parametrize("unreachable", [False, True])
async def test_a_node_that_starts_asks_for_the_decisions(
    node: Callable[[], Node], *, unreachable: bool
) -> None:
    one = node()
    one.unreachable = unreachable
    await running(one, 2)
    assert one.told == [QUESTION]


@in_virtual_time
async def test_decisions_are_repeated_from_time_to_time(node: Callable[[], Node]) -> None:
    one = node()
    one.others = {"n2"}
    one.blocks.merge([block("ana")])
    await running(one, 2 * REPEAT_SECONDS + 2.5)
    assert one.repeats == 3


@in_virtual_time
async def test_a_node_that_is_alone_repeats_nothing(node: Callable[[], Node]) -> None:
    one = node()
    one.blocks.merge([block("ana")])
    await running(one, 3 * REPEAT_SECONDS)
    assert one.repeats == 0


@in_virtual_time
async def test_a_node_that_appears_is_told_within_a_second(node: Callable[[], Node]) -> None:
    one = node()
    one.others = {"n2"}
    one.blocks.merge([block("ana")])
    await running(one, 2.5, lambda: setattr(one, "others", {"n2", "n3"}))
    assert one.repeats == 2


@in_virtual_time
async def test_a_question_is_answered_at_once(node: Callable[[], Node]) -> None:
    one = node()
    one.others = {"n2"}
    one.blocks.merge([block("ana")])
    seen: list[int] = []

    def asked() -> None:
        seen.append(one.repeats)
        one.replication._on_message(QUESTION)

    await running(one, 0.5, nothing, nothing, asked, lambda: seen.append(one.repeats))
    assert seen[1] == seen[0] + 1


@in_virtual_time
async def test_blocks_that_are_over_are_forgotten(node: Callable[[], Node]) -> None:
    one = node()
    one.others = {"n2"}
    one.blocks.merge([block("ana", 2)])
    await running(one, 2)
    assert (list(one.blocks), one.repeats) == ([], 0)
