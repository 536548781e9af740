"""Questions to all nodes, and decisions that all shall know. What nodes tell one another may be lost, so both have a time within which."""

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from eventhub.errors import BrokerUnavailable
from eventhub.hub import Hub

TOPIC = b"assembly"
ANSWER_SECONDS = 2.0
ANSWER_BYTES = 200 * 1024
"""Brokers carry 256 KiB."""
QUESTIONS = 16
"""At a time; others wait."""

Answer = Callable[[dict[str, Any]], dict[str, Any]]


class Answers(NamedTuple):
    """By node. `complete`: of all that are known to be there."""

    found: dict[str, dict[str, Any]]
    complete: bool


class Assembly:
    """All nodes. `answer` gives this one's answer to a question; it must fit ANSWER_BYTES as JSON."""

    def __init__(self, hub: Hub, answer: Answer) -> None:
        self._hub, self._answer = hub, answer
        self._open: dict[str, tuple[dict[str, dict[str, Any]], asyncio.Event]] = {}
        self._room = asyncio.Semaphore(QUESTIONS)
        hub.listen(TOPIC, self._hear)

    async def ask(self, question: dict[str, Any]) -> Answers:
        """Ask all nodes, this one included. Takes ANSWER_SECONDS at most."""
        found = {self._hub.node: self._answer(question)}
        others = self._hub.nodes
        if not others:
            return Answers(found, complete=True)
        async with self._room:
            number = secrets.token_hex(4)
            heard = asyncio.Event()
            self._open[number] = found, heard
            try:
                with suppress(TimeoutError, BrokerUnavailable):
                    async with asyncio.timeout(ANSWER_SECONDS):
                        await self._tell({"ask": number, "question": question})
                        while not others <= found.keys():
                            heard.clear()
                            await heard.wait()
            finally:
                del self._open[number]
        return Answers(found, complete=others <= found.keys())

    async def _tell(self, message: dict[str, Any]) -> None:
        await self._hub.tell(TOPIC, orjson.dumps({"node": self._hub.node, **message}))

    def _hear(self, message: bytes) -> None:
        told = orjson.loads(message)
        if "ask" in told:
            self._hub.spawn(self._reply(told["ask"], self._answer(told["question"])))
        elif (question := self._open.get(told["answer"])) is not None and told["node"] in self._hub.nodes:
            found, heard = question
            found[told["node"]] = told["found"]
            heard.set()

    async def _reply(self, number: str, found: dict[str, Any]) -> None:
        with suppress(BrokerUnavailable):
            await self._tell({"answer": number, "found": found})
