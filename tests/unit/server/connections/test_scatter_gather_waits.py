"""server/connections/scatter_gather.py: how long a question waits, and for whom."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import orjson
from pydantic import BaseModel

from eventhub.brokers.base import OnMessage
from eventhub.errors import BrokerUnavailable
from eventhub.server.connections.scatter_gather import ANSWER_SECONDS, QUESTIONS, ScatterGather
from tests.harness.virtual_time import in_virtual_time, turns


class Count(BaseModel):
    """What is asked for here."""

    count: int


class Nodes:
    """Node n1, and others that say what a test says."""

    own = "n1"

    def __init__(self, *others: str) -> None:
        self.others = set(others)
        self.sent: list[dict[str, Any]] = []
        self.down = False
        self.replies: list[asyncio.Task[None]] = []
        self.hear: OnMessage
        hub: Any = SimpleNamespace(nodes=self, spawn=self._spawn)
        self.gather = ScatterGather(hub, lambda question: {"count": question["begin"]}, b"topic")

    def listen(self, topic: bytes, on_message: OnMessage) -> None:
        assert topic == b"topic"
        self.hear = on_message

    async def broadcast(self, topic: bytes, body: bytes) -> None:
        assert topic == b"topic"
        if self.down:
            raise BrokerUnavailable("away")
        self.sent.append(orjson.loads(body))

    def _spawn(
        self, work: Coroutine[Any, Any, None], where: str, failed: Callable[[Any], None]
    ) -> None:
        self.replies.append(asyncio.create_task(work))

    def ask(self) -> "asyncio.Task[Any]":
        return asyncio.create_task(self.gather.ask({"begin": 1}, Count))

    def answer(self, node: str, count: int, question: int = -1) -> None:
        """What a node says to one of the questions."""
        number = self.sent[question]["ask"]
        self.hear(orjson.dumps({"node": node, "answer": number, "found": {"count": count}}))


def counts(answers: Any) -> dict[str, int]:
    return {node: found.count for node, found in answers.found.items()}


@in_virtual_time
async def test_a_node_that_is_alone_asks_nobody() -> None:
    nodes = Nodes()
    answers = await nodes.ask()
    assert (counts(answers), answers.complete, nodes.sent) == ({"n1": 1}, True, [])


@in_virtual_time
async def test_a_question_ends_with_the_last_answer() -> None:
    nodes = Nodes("n2", "n3")
    begin = asyncio.get_running_loop().time()
    asking = nodes.ask()
    await turns()
    assert nodes.sent[0]["node"] == "n1"
    assert nodes.sent[0]["question"] == {"begin": 1}
    nodes.answer("n2", 2)
    await turns()
    assert not asking.done()
    nodes.answer("n3", 3)
    answers = await asking
    assert (counts(answers), answers.complete) == ({"n1": 1, "n2": 2, "n3": 3}, True)
    assert asyncio.get_running_loop().time() == begin


@in_virtual_time
async def test_nodes_that_do_not_answer_in_time_are_missing() -> None:
    nodes = Nodes("n2", "n3")
    begin = asyncio.get_running_loop().time()
    asking = nodes.ask()
    await turns()
    nodes.answer("n2", 2)
    answers = await asking
    assert (counts(answers), answers.complete) == ({"n1": 1, "n2": 2}, False)
    assert asyncio.get_running_loop().time() == begin + ANSWER_SECONDS
    nodes.answer("n3", 3)
    assert set(answers.found) == {"n1", "n2"}, "it came late"
    assert nodes.gather._open == {}


@in_virtual_time
async def test_only_nodes_that_are_known_answer() -> None:
    nodes = Nodes("n2")
    asking = nodes.ask()
    await turns()
    nodes.answer("n9", 9)
    await turns()
    assert not asking.done()
    nodes.answer("n2", 2)
    assert counts(await asking) == {"n1": 1, "n2": 2}


@in_virtual_time
async def test_a_question_that_cannot_be_sent_is_not_waited_for() -> None:
    nodes = Nodes("n2")
    nodes.down = True
    begin = asyncio.get_running_loop().time()
    answers = await nodes.ask()
    assert (counts(answers), answers.complete) == ({"n1": 1}, False)
    assert asyncio.get_running_loop().time() == begin
    assert nodes.gather._open == {}


@in_virtual_time
async def test_an_answer_that_cannot_be_sent_is_no_fault() -> None:
    nodes = Nodes("n2")
    nodes.down = True
    nodes.hear(orjson.dumps({"node": "n2", "ask": "q", "question": {"begin": 5}}))
    await turns()
    (reply,) = nodes.replies
    assert reply.exception() is None


@in_virtual_time
async def test_questions_beyond_their_bound_wait_for_those_before() -> None:
    nodes = Nodes("n2")
    asking = [nodes.ask() for _ in range(QUESTIONS + 1)]
    await turns()
    assert len(nodes.sent) == QUESTIONS
    nodes.answer("n2", 7, question=0)
    await turns()
    assert len(nodes.sent) == QUESTIONS + 1
    assert counts(asking[0].result()) == {"n1": 1, "n2": 7}
    for question in range(1, QUESTIONS + 1):
        nodes.answer("n2", question, question)
    answers = await asyncio.gather(*asking[1:])
    assert [counts(each)["n2"] for each in answers] == list(range(1, QUESTIONS + 1))


@in_virtual_time
async def test_an_answer_to_no_question_changes_nothing() -> None:
    nodes = Nodes("n2")
    nodes.hear(orjson.dumps({"node": "n2", "answer": "none", "found": {"count": 1}}))
    assert nodes.sent == []


@in_virtual_time
async def test_a_question_of_another_node_is_answered_with_its_number() -> None:
    nodes = Nodes("n2")
    nodes.hear(orjson.dumps({"node": "n2", "ask": "q" * 16, "question": {"begin": 5}}))
    await turns()
    assert nodes.sent == [{"node": "n1", "answer": "q" * 16, "found": {"count": 5}}]
