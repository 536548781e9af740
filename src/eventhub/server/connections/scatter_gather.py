"""Asks all nodes a question and gathers their answers (the scatter-gather pattern).

Messages between nodes may be lost, so the wait for answers is bounded.
"""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, NamedTuple, TypeVar

import orjson
from pydantic import BaseModel

from eventhub.errors import BrokerUnavailable, EventHubError
from eventhub.hub.hub import Hub

TOPIC = b"assembly"
ANSWER_SECONDS = 2.0
ANSWER_BYTES = 200 * 1024
"""Brokers carry 256 KiB."""
QUESTIONS = 16
"""Questions at a time. Others wait."""

NUMBER_LENGTH = 16
"""Characters of a question's number, which the answer repeats."""

Answer = Callable[[dict[str, Any]], dict[str, Any]]
Shape = TypeVar("Shape", bound=BaseModel)


class NodeAnswers(NamedTuple, Generic[Shape]):
    """Answers by node. `complete`: all known nodes have answered."""

    found: dict[str, Shape]
    complete: bool


class ScatterGather:
    """Questions to all nodes.

    `answer` returns this node's answer to a question. As JSON it must fit ANSWER_BYTES. Messages
    are sent under `topic`.
    """

    def __init__(self, hub: Hub, answer: Answer, topic: bytes = TOPIC) -> None:
        self._hub, self._answer, self._topic = hub, answer, topic
        self._open: dict[str, tuple[Callable[[str, Any], None], asyncio.Event]] = {}
        self._room = asyncio.Semaphore(QUESTIONS)
        hub.nodes.listen(topic, self._on_message)

    async def ask(self, question: dict[str, Any], shape: type[Shape]) -> NodeAnswers[Shape]:
        """Ask all nodes, including this one, and wait for ANSWER_SECONDS at most.

        An answer that does not fit `shape` is ignored.
        """
        found: dict[str, Shape] = {}

        def take(node: str, answer: Any) -> None:
            found[node] = shape.model_validate(answer)

        take(self._hub.nodes.own, self._answer(question))
        others = self._hub.nodes.others
        if not others:
            return NodeAnswers(found, complete=True)
        async with self._room:
            number = secrets.token_hex(4)
            heard = asyncio.Event()
            self._open[number] = take, heard
            try:
                with suppress(TimeoutError, BrokerUnavailable):
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await self._broadcast({"ask": number, "question": question})
                        while not others <= found.keys():
                            heard.clear()
                            await heard.wait()
            finally:
                del self._open[number]
        return NodeAnswers(found, complete=others <= found.keys())

    async def _broadcast(self, message: dict[str, Any]) -> None:
        await self._hub.nodes.broadcast(
            self._topic, orjson.dumps({"node": self._hub.nodes.own, **message})
        )

    def _on_message(self, message: bytes) -> None:
        received = orjson.loads(message)
        if "ask" in received:
            number = received["ask"]
            if not isinstance(number, str) or len(number) > NUMBER_LENGTH:
                raise ValueError(
                    f"expected a question with a number of {NUMBER_LENGTH} characters at most"
                )
            self._hub.spawn(
                self._reply(number, self._answer(received["question"])), "question", _unanswered
            )
            return
        question = self._open.get(received["answer"])
        if question is not None and received["node"] in self._hub.nodes.others:
            take, heard = question
            take(received["node"], received["found"])
            heard.set()

    async def _reply(self, number: str, found: dict[str, Any]) -> None:
        with suppress(BrokerUnavailable):
            await self._broadcast({"answer": number, "found": found})


def _unanswered(error: EventHubError) -> None:
    """Do nothing: the asking node reports after ANSWER_SECONDS that answers are missing."""
