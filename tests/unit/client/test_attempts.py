"""eventhub_client/attempts.py: the attempts of one call, which may have several requests."""

from collections.abc import Generator
from typing import TypeVar

import pytest

from eventhub_client.attempts import Attempts, Rules, channel_path
from eventhub_client.errors import Problem
from eventhub_client.items import Receipt
from eventhub_client.publishing import BATCH_EVENTS, Delivery, publish_many
from eventhub_client.steps import Answer, CallStep, Reply, Request, Unreachable, Wait
from tests.unit.client.shells import Time, answered

T = TypeVar("T")
STORED = Answer(201, {"id": "k-1", "time": "2026-11-22T20:06:00.123Z"})
DOWN = Unreachable("refused")


def taken(
    steps: Generator[CallStep, Reply, T], clock: Time, *replies: Reply
) -> tuple[T, list[CallStep]]:
    left = list(replies)
    return answered(steps, clock, lambda step: left.pop(0) if isinstance(step, Request) else None)


def attempts(clock: Time, timeout: float) -> Attempts:
    return Attempts(Rules(clock=clock, random=lambda: 0.5), timeout)


def request(tries: Attempts) -> Generator[CallStep, Reply, Answer | Problem]:
    return tries.run("GET", "/", b"", {})


def waits(steps: list[CallStep]) -> list[float]:
    return [step.seconds for step in steps if isinstance(step, Wait)]


def test_the_waits_begin_again_with_the_next_request_of_a_call() -> None:
    clock = Time()
    tries = attempts(clock, 60.0)
    assert waits(taken(request(tries), clock, *[DOWN] * 4, STORED)[1]) == [0.5, 0.5, 0.5, 0.75]
    assert waits(taken(request(tries), clock, DOWN, STORED)[1]) == [0.5]


def test_a_request_after_the_end_of_a_call_has_a_moment_and_no_second_attempt() -> None:
    clock = Time()
    tries = attempts(clock, 10.0)
    clock.now += 40.0
    found, (step,) = taken(request(tries), clock, DOWN)
    assert isinstance(found, Problem)
    assert isinstance(step, Request)
    assert step.seconds == 0.001


@pytest.mark.parametrize(("told", "requests"), [(4.0, 2), (5.0, 1)])
def test_a_wait_that_ends_with_the_call_is_not_begun(told: float, requests: int) -> None:
    clock = Time()
    steps = request(attempts(clock, 5.0))
    _, found = taken(steps, clock, Answer(429, {}, told), STORED)
    assert sum(isinstance(step, Request) for step in found) == requests


def test_what_a_server_tells_everybody_comes_before_the_random_time() -> None:
    clock = Time()
    _, found = taken(request(attempts(clock, 60.0)), clock, Answer(503, {}, 4.0), STORED)
    assert waits(found) == [4.5]


def test_after_the_last_attempt_each_event_has_the_result_that_it_got() -> None:
    clock = Time()
    failed = {"error": {"code": "broker_unavailable", "message": "away"}}
    answer = Answer(207, {"results": [STORED.fields, failed]})
    rules = Rules(clock=clock, random=lambda: 0.5)
    steps = publish_many("a.b", [1, 2], Delivery(timeout=0.5), rules)
    (first, second), _ = taken(steps, clock, answer)
    assert isinstance(first, Receipt)
    assert second.code == "broker_unavailable"  # type: ignore[union-attr]


def test_a_batch_after_a_large_one_is_as_large_again() -> None:
    clock = Time()
    items = ["x" * 400_000] * 6 + [0] * BATCH_EVENTS
    answers = [Answer(200, {"results": [STORED.fields] * count}) for count in (2, 2, 1000, 2)]
    outcomes, steps = taken(
        publish_many("a.b", items, Delivery(), Rules(clock=clock)), clock, *answers
    )
    assert len(steps) == 4
    assert all(isinstance(each, Receipt) for each in outcomes)


def test_a_channel_is_one_part_of_the_address() -> None:
    assert channel_path("a/b?c", "/presence", after="x y", limit=None) == (
        "/v1/channels/a%2Fb%3Fc/presence?after=x%20y"
    )
