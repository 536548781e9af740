"""Questions to all nodes, and decisions that all shall know. What nodes tell one another may be lost, so both have a time within which."""

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
"""At a time; others wait."""

NUMBER_LENGTH = 16
"""Characters of a question's number: it is sent back."""

Answer = Callable[[dict[str, Any]], dict[str, Any]]
Shape = TypeVar("Shape", bound=BaseModel)


class NodeAnswers(NamedTuple, Generic[Shape]):
    """By node. `complete`: of all that are known to be there."""

    found: dict[str, Shape]
    complete: bool


class ScatterGather:
    """All nodes. `answer` gives this one's answer to a question; it must fit ANSWER_BYTES as JSON."""

    def __init__(self, hub: Hub, answer: Answer) -> None:
        self._hub, self._answer = hub, answer
        self._open: dict[str, tuple[Callable[[str, Any], None], asyncio.Event]] = {}
        self._room = asyncio.Semaphore(QUESTIONS)
        hub.nodes.listen(TOPIC, self._hear)

    async def ask(self, question: dict[str, Any], shape: type[Shape]) -> NodeAnswers[Shape]:
        """Ask all nodes, this one included. Takes ANSWER_SECONDS at most. What has not this shape is no answer."""
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
                        await self._tell({"ask": number, "question": question})
                        while not others <= found.keys():
                            heard.clear()
                            await heard.wait()
            finally:
                del self._open[number]
        return NodeAnswers(found, complete=others <= found.keys())

    async def _tell(self, message: dict[str, Any]) -> None:
        await self._hub.nodes.tell(TOPIC, orjson.dumps({"node": self._hub.nodes.own, **message}))

    def _hear(self, message: bytes) -> None:
        told = orjson.loads(message)
        if "ask" in told:
            number = told["ask"]
            if not isinstance(number, str) or len(number) > NUMBER_LENGTH:
                raise ValueError(
                    f"expected a question with a number of {NUMBER_LENGTH} characters at most"
                )
            self._hub.spawn(
                self._reply(number, self._answer(told["question"])), "question", _unanswered
            )
        elif (question := self._open.get(told["answer"])) is not None and told[
            "node"
        ] in self._hub.nodes.others:
            take, heard = question
            take(told["node"], told["found"])
            heard.set()

    async def _reply(self, number: str, found: dict[str, Any]) -> None:
        with suppress(BrokerUnavailable):
            await self._tell({"answer": number, "found": found})


def _unanswered(error: EventHubError) -> None:
    """Who asked waits for ANSWER_SECONDS, and says that the answers are not complete."""
