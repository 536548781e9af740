"""How often a request is made, and what its answer means. No I/O happens here."""

import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from eventhub_client.backoff import Backoff
from eventhub_client.errors import Problem
from eventhub_client.steps import Answer, CallStep, RenewToken, Reply, Request, Unreachable, Wait

LONGEST_ATTEMPT = 30.0
"""Seconds that one request may take."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all requests of a hub."""

    renewable: bool = False
    """Whether a token can be asked for again."""
    clock: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random


class Attempts:
    """The attempts of one call, within its timeout."""

    def __init__(self, rules: Rules, timeout: float) -> None:
        self._rules = rules
        self._end = rules.clock() + timeout
        self._backoff = Backoff(rules.clock, rules.random)

    def run(
        self, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Generator[CallStep, Reply, Answer | Problem]:
        """The final answer, or why there is none."""
        request = Request(method, path, body, headers, LONGEST_ATTEMPT)
        renewed = False
        while True:
            left = max(0.001, self._end - self._rules.clock())
            reply = yield replace(request, seconds=min(left, LONGEST_ATTEMPT))
            problem = problem_of(reply)
            if problem is None:
                assert isinstance(reply, Answer)
                self._backoff.reset()
                return reply
            if problem.code == "token_expired" and self._rules.renewable and not renewed:
                renewed = True
                yield RenewToken()
                continue
            delay = self._delay(problem) if problem.is_temporary else None
            if delay is None or self._rules.clock() + delay >= self._end:
                return reply if isinstance(reply, Answer) and has_results(reply) else problem
            yield Wait(delay)

    def _delay(self, problem: Problem) -> float:
        if problem.status == 429:
            return self._backoff.delay(problem.retry_after)
        return self._backoff.delay(least=problem.retry_after)


def problem_of(reply: Reply) -> Problem | None:
    """What is wrong with the answer to a request, if anything is."""
    if isinstance(reply, Unreachable):
        return Problem("unreachable", reply.reason, 503)
    assert isinstance(reply, Answer)
    if has_results(reply):
        errors = (each["error"] for each in reply.fields["results"] if "error" in each)
        return next((each for each in map(Problem.of, errors) if each.is_temporary), None)
    if reply.status in (200, 201, 207):
        return None
    told = {"retry_after": reply.retry_after} if reply.retry_after is not None else {}
    return Problem.of({**reply.fields, **told}, reply.status)


def has_results(answer: Answer) -> bool:
    """Whether each item of the request has a result of its own."""
    return isinstance(answer.fields.get("results"), list)


def invalid_answer(missing: str) -> Problem:
    """Of a server that answers as EventHub does not."""
    return Problem("invalid_answer", f"{missing}. Is this EventHub?", 502)


def channel_path(channel: str, rest: str = "", **query: Any) -> str:
    """The address of a channel, or of what is below it."""
    named = "&".join(
        f"{name}={quote(str(value), safe='')}" for name, value in query.items() if value is not None
    )
    return f"/v1/channels/{quote(channel, safe='')}{rest}{'?' if named else ''}{named}"
