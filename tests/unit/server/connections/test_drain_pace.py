"""server/connections/drain_pace.py: how fast clients are sent away."""

import asyncio

import pytest

from eventhub.server.connections.drain_pace import (
    BURST_SECONDS,
    LATE_SECONDS,
    LEAST_AWAY,
    LEAST_PACE,
    MARGIN_SECONDS,
    MOST_AWAY,
    SLICE,
    STEP_SECONDS,
    UNKNOWN_AWAY,
    DrainPace,
    all_at_once,
    at_a_pace,
    reconnect_delay,
)
from tests.harness.loop import in_loop


def told(clients: int, spread: float, *, until: float, step: float = STEP_SECONDS) -> list[int]:
    """How many had been told after each step."""
    pace = DrainPace(clients, spread, 100.0)
    return [pace.due(100.0 + number * step) for number in range(round(until / step))]


@pytest.mark.parametrize(("clients", "spread"), [(5000, 10), (20_000, 30), (1000, 10), (1333, 10)])
def test_in_each_second_the_same_share_is_told(clients: int, spread: float) -> None:
    counts = told(clients, spread, until=spread + 1)
    second = round(1 / STEP_SECONDS)
    for begin in range(len(counts) - second):
        assert counts[begin + second] - counts[begin] <= clients / spread + 1
    assert counts[-second] == clients, "all, when the spread is over"


def test_small_crowds_leave_at_a_hundred_a_second() -> None:
    counts = told(50, 10, until=1)
    assert counts.index(50) * STEP_SECONDS == pytest.approx(50 / LEAST_PACE, abs=2 * STEP_SECONDS)


def test_without_a_spread_all_are_told_at_once() -> None:
    assert told(5000, 0, until=0.1)[0] == 5000


def test_a_loop_that_wakes_up_late_each_time_keeps_the_pace() -> None:
    counts = told(5000, 10, until=11, step=3 * STEP_SECONDS)
    assert counts[round(10.1 / (3 * STEP_SECONDS))] == 5000


def test_after_a_stall_the_pace_is_what_it_was() -> None:
    pace = DrainPace(5000, 10, 0)
    before = pace.due(1)
    assert pace.due(5) - before <= BURST_SECONDS * 500 + 1


def test_whoever_is_left_when_the_time_is_up_is_told_at_once() -> None:
    pace = DrainPace(5000, 10, 0)
    assert pace.due(10 + LATE_SECONDS / 2) < 5000
    assert pace.due(10 + LATE_SECONDS) == 5000


@in_loop
async def test_all_are_told_once_and_in_their_order() -> None:
    seen: list[int] = []
    await at_a_pace(range(30), seen.append, 0.1)
    assert seen == list(range(30))
    await at_a_pace((), seen.append, 10)
    assert len(seen) == 30


@pytest.mark.parametrize(
    ("took", "away"), [(0.8, 0.8), (0.01, LEAST_AWAY), (60, MOST_AWAY), (None, UNKNOWN_AWAY)]
)
def test_whoever_comes_back_first_finds_what_was_started_again(
    took: float | None, away: float
) -> None:
    assert reconnect_delay(0, took, 0) == pytest.approx(away + MARGIN_SECONDS)


@pytest.mark.parametrize("clients", [1, 100, 2000, 20_000])
def test_no_second_sees_more_than_a_third_more_than_the_mean_of_those_that_come_back(
    clients: int,
) -> None:
    moments = [reconnect_delay(number, 1, number % 7 / 7) for number in range(clients)]
    first, last = min(moments), max(moments)
    most = max(
        sum(begin <= moment < begin + 1 for moment in moments)
        for begin in (first, (first + last) / 2)
    )
    assert most <= 1.34 * clients / max(1, last - first)


@in_loop
async def test_those_that_leave_together_do_so_in_slices() -> None:
    told: list[tuple[str, int]] = []
    telling = asyncio.create_task(
        all_at_once("a" * (SLICE + 1), lambda *client: told.append(client))
    )
    await asyncio.sleep(0)
    assert told == [("a", number) for number in range(SLICE)]
    await telling
    assert len(told) == SLICE + 1
