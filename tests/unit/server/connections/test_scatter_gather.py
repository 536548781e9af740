"""server/connections/scatter_gather.py: a question to all nodes, and what counts as an answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from eventhub.brokers.memory import MemoryBroker
from eventhub.events.channel_types import ChannelTypes, Retention
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from eventhub.server.connections import scatter_gather as assembly_module
from eventhub.server.connections.scatter_gather import ScatterGather
from tests.harness.hubs import running


class Count(BaseModel):
    """What is asked for here."""

    count: int


class Ether(MemoryBroker):
    """Keeps what is told to the other nodes."""

    def __init__(self) -> None:
        super().__init__(lambda _: Retention(10, None), Hub.now)
        self.told: asyncio.Queue[bytes] = asyncio.Queue()

    async def broadcast(self, message: bytes) -> None:
        self.told.put_nowait(message)


class Node:
    """A running hub with an assembly, and another node that says what a test says."""

    def __init__(self) -> None:
        self.ether = Ether()
        self.hub = Hub(ChannelTypes({}), self.ether, Metrics(()))
        self.assembly = ScatterGather(self.hub, lambda question: {"count": question["begin"]})
        self.hub.nodes.on_message(b'{"node":"n2","number":1}')

    async def told(self) -> dict[str, Any]:
        """The next message of the assembly."""
        while not (message := await self.ether.told.get()).startswith(b"assembly "):
            pass
        found: dict[str, Any] = orjson.loads(message.split(b" ", 2)[2])
        return found

    def tell(self, **fields: Any) -> None:
        """The other node says so."""
        self.hub.nodes.on_message(b"assembly n2 " + orjson.dumps({"node": "n2", **fields}))


def run(scenario: Callable[[Node], Awaitable[None]]) -> None:
    async def main() -> None:
        node = Node()
        async with asyncio.timeout(60), running(node.hub):
            await scenario(node)

    asyncio.run(main())


def test_a_question_is_answered_by_all() -> None:
    async def scenario(node: Node) -> None:
        asking = asyncio.create_task(node.assembly.ask({"begin": 1}, Count))
        node.tell(answer=(await node.told())["ask"], found={"count": 2})
        answers = await asking
        assert {name: found.count for name, found in answers.found.items()} == {
            node.hub.nodes.own: 1,
            "n2": 2,
        }
        assert answers.complete

    run(scenario)


@pytest.mark.parametrize("found", [None, 7, [], {}, {"count": "many"}, {"count": [1]}, {"rows": 7}])
def test_what_has_another_shape_is_no_answer(found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly_module, "ANSWER_SECONDS", 0.05)

    async def scenario(node: Node) -> None:
        asking = asyncio.create_task(node.assembly.ask({"begin": 1}, Count))
        node.tell(answer=(await node.told())["ask"], found=found)
        answers = await asking
        assert set(answers.found) == {node.hub.nodes.own}
        assert not answers.complete

    run(scenario)


def test_another_node_s_question_is_answered() -> None:
    async def scenario(node: Node) -> None:
        node.tell(ask="q1", question={"begin": 5})
        assert await node.told() == {
            "node": node.hub.nodes.own,
            "answer": "q1",
            "found": {"count": 5},
        }

    run(scenario)


@pytest.mark.parametrize("number", [None, 1, "q" * 17, [["q1"]]])
def test_a_question_whose_number_no_node_gave_is_left(number: Any) -> None:
    async def scenario(node: Node) -> None:
        node.tell(ask=number, question={"begin": 5})
        node.tell(ask="q1", question={"begin": 6})
        assert (await node.told())["answer"] == "q1"

    run(scenario)


def test_a_number_too_deep_to_be_sent_back_ends_no_node() -> None:
    async def scenario(node: Node) -> None:
        node.hub.nodes.on_message(
            b'assembly n2 {"node":"n2","ask":'
            + b"[" * 500
            + b"]" * 500
            + b',"question":{"begin":5}}'
        )
        node.tell(ask="q1", question={"begin": 6})
        assert (await node.told())["answer"] == "q1"

    run(scenario)
