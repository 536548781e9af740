"""When a publish is repeated, when it is given up, and what it brings. No I/O happens here."""

import random
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from eventhub_client.backoff import Backoff
from eventhub_client.errors import HubError, Problem, Unavailable, error
from eventhub_client.items import Receipt, moment
from eventhub_client.payloads import encode
from eventhub_client.steps import Answer, Post, PublishStep, RenewToken, Reply, Unreachable, Wait

LONGEST_TIMEOUT = 540.0
"""Seconds. The server forgets an idempotency key after ten minutes."""
LONGEST_ATTEMPT = 30.0
"""Seconds that one request may take."""
BATCH_EVENTS = 1000
BATCH_BYTES = 1 << 20
Outcome = Receipt | HubError


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all publishes of a hub."""

    renewable: bool = False
    """Whether a token can be asked for again."""
    clock: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one call publishes. The key stays the same over all its attempts."""

    timeout: float = 30.0
    attributes: Mapping[str, str] | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        if not 0 < self.timeout <= LONGEST_TIMEOUT:
            raise ValueError(
                f"received timeout={self.timeout}; expected more than 0 and at most "
                f"{LONGEST_TIMEOUT:.0f} seconds, because the server forgets a key after 600"
            )
        if self.key is None:
            object.__setattr__(self, "key", uuid.uuid4().hex)

    def headers(self, suffix: str = "") -> dict[str, str]:
        """The headers of a request."""
        named = {
            name if name == "traceparent" else f"ce-{name}": quote(value, safe=" -._~:/?@+,;=")
            for name, value in (self.attributes or {}).items()
        }
        return {
            "content-type": "application/json",
            "idempotency-key": f"{self.key}{suffix}",
            **named,
        }


def publish_one(
    channel: str, data: object, delivery: Delivery, rules: Rules
) -> Generator[PublishStep, Reply, Receipt]:
    """Publish one event. Raises HubError."""
    body = encode(data)
    is_array = body.startswith(b"[") and "id" not in (delivery.attributes or {})
    whole = b"[" + body + b"]" if is_array else body
    attempts = _Attempts(rules, delivery.timeout)
    answer = yield from attempts.run(_path(channel), whole, delivery.headers())
    if isinstance(answer, Problem):
        raise error(answer)
    (outcome,) = _outcomes(channel, answer, 1) if is_array else [_receipt(channel, answer.fields)]
    if isinstance(outcome, HubError):
        raise outcome
    return outcome


def publish_many(
    channel: str, items: Iterable[object], delivery: Delivery, rules: Rules
) -> Generator[PublishStep, Reply, list[Outcome]]:
    """Publish events in their order, in batches. One outcome for each, in the same order.

    After a batch of which nothing is known, no later one is sent: their order would be lost.
    """
    events = [encode(item) for item in items]  # before any is sent: all of them are JSON
    attempts, outcomes = _Attempts(rules, delivery.timeout), list[Outcome]()
    lost: Problem | None = None
    for number, batch in enumerate(_batches(events)):
        if lost is not None:
            outcomes += [Unavailable(lost) for _ in batch]
            continue
        body, headers = b"[" + b",".join(batch) + b"]", delivery.headers(f"-{number}")
        answer = yield from attempts.run(_path(channel), body, headers)
        results = (
            _outcomes(channel, answer, len(batch))
            if isinstance(answer, Answer)
            else [error(answer) for _ in batch]
        )
        lost = next((each.problem for each in results if isinstance(each, Unavailable)), None)
        outcomes += results
    return outcomes


def send_signal(
    channel: str,
    data: object,
    attributes: Mapping[str, str] | None,
    timeout: float,
    rules: Rules,
) -> Generator[PublishStep, Reply, None]:
    """Send a signal, and never again: later, nobody wants it. Raises HubError.

    It is one item of a publish to several channels, because its data may be an array.
    """
    fields: dict[str, object] = {"channel": channel, "signal": True}
    if attributes:
        fields["attributes"] = dict(attributes)
    body = b'[%b,"data":%b}]' % (encode(fields)[:-1], encode(data))
    post = Post("/v1/events", body, {"content-type": "application/json"}, timeout)
    problem = _signal_problem((yield post))
    if problem is not None and problem.code == "token_expired" and rules.renewable:
        yield RenewToken()
        problem = _signal_problem((yield post))  # the first one was refused
    if problem is not None:
        raise error(problem)


def _signal_problem(reply: Reply) -> Problem | None:
    if isinstance(reply, Answer) and _has_results(reply) and reply.fields["results"]:
        told = reply.fields["results"][0].get("error")
        return None if told is None else Problem.of(told)
    problem = _problem(reply)
    if problem is None:
        said = "the answer has no result; is this EventHub?"
        return Problem("invalid_answer", said, 502)
    return problem


class _Attempts:
    """The attempts of one call, within its timeout."""

    def __init__(self, rules: Rules, timeout: float) -> None:
        self._rules = rules
        self._end = rules.clock() + timeout
        self._backoff = Backoff(rules.random)

    def run(
        self, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Generator[PublishStep, Reply, Answer | Problem]:
        """The final answer, or why there is none."""
        renewed = False
        while True:
            left = max(0.001, self._end - self._rules.clock())
            reply = yield Post(path, body, headers, min(left, LONGEST_ATTEMPT))
            problem = _problem(reply)
            if problem is None:
                assert isinstance(reply, Answer)
                self._backoff.reset()
                return reply
            if problem.code == "token_expired" and self._rules.renewable and not renewed:
                renewed = True
                yield RenewToken()
                continue
            delay = self._backoff.delay(problem.retry_after) if problem.is_temporary else None
            if delay is None or self._rules.clock() + delay >= self._end:
                return reply if _has_results(reply) and isinstance(reply, Answer) else problem
            yield Wait(delay)


def _problem(reply: Reply) -> Problem | None:
    """What is wrong with the answer to a request, if anything is."""
    if isinstance(reply, Unreachable):
        return Problem("unreachable", reply.reason, 503)
    assert isinstance(reply, Answer)
    if _has_results(reply):
        errors = (each["error"] for each in reply.fields["results"] if "error" in each)
        return next((each for each in map(Problem.of, errors) if each.is_temporary), None)
    if reply.status in (200, 201, 207):
        return None
    told = {"retry_after": reply.retry_after} if reply.retry_after is not None else {}
    return Problem.of({**reply.fields, **told}, reply.status)


def _has_results(reply: Reply) -> bool:
    return isinstance(reply, Answer) and isinstance(reply.fields.get("results"), list)


def _outcomes(channel: str, answer: Answer, expected: int) -> list[Outcome]:
    results: Sequence[Mapping[str, Any]] = answer.fields.get("results", ())
    if len(results) != expected:
        said = f"the answer has {len(results)} results; expected {expected}. Is this EventHub?"
        return [Unavailable(Problem("invalid_answer", said, 502)) for _ in range(expected)]
    return [
        error(Problem.of(each["error"])) if "error" in each else _receipt(channel, each)
        for each in results
    ]


def _receipt(channel: str, fields: Mapping[str, Any]) -> Outcome:
    if "id" not in fields or "time" not in fields:
        said = "the answer has no id and no time; is this EventHub?"
        return Unavailable(Problem("invalid_answer", said, 502))
    return Receipt(channel, fields["id"], moment(fields["time"]))


def _path(channel: str) -> str:
    return f"/v1/channels/{quote(channel, safe='')}"


def _batches(events: Iterable[bytes]) -> Iterator[list[bytes]]:
    batch, size = list[bytes](), 0
    for event in events:
        if batch and (len(batch) == BATCH_EVENTS or size + len(event) > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event) + 1
    if batch:
        yield batch
