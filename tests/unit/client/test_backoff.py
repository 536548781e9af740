"""eventhub_client/backoff.py: how long to wait, with the clock and the randomness as arguments."""

import random
from collections import Counter
from collections.abc import Callable

import pytest

from eventhub_client.backoff import Backoff
from tests.unit.client.shells import Time


def waits(count: int, chance: float) -> list[float]:
    """Of attempts that fail at once."""
    clock, found = Time(), list[float]()
    backoff = Backoff(clock, lambda: chance)
    for _ in range(count):
        found.append(backoff.delay())
        clock.now += found[-1]
    return found


def absence(outage: float, chance: Callable[[], float]) -> float:
    """Seconds until the first attempt after an outage."""
    clock = Time()
    backoff, begin = Backoff(clock, chance), clock.now
    while clock.now - begin <= outage:
        clock.now += backoff.delay()
    return clock.now - begin


def test_the_longest_waits_double_from_one_second_to_thirty() -> None:
    assert waits(8, 1.0) == [1, 1, 2, 4, 8, 16, 30, 30]


def test_each_wait_is_a_random_part_of_the_longest() -> None:
    assert waits(3, 0.0) == [0, 0, 0]
    assert waits(6, 0.5) == [0.5, 0.5, 0.5, 0.75, 1.125, 1.6875]


@pytest.mark.parametrize("outage", [0.5, 2, 10, 29])
def test_nobody_is_away_for_more_than_twice_the_outage_and_a_second(outage: float) -> None:
    chance = random.Random(17).random
    times = [absence(outage, chance) for _ in range(2000)]
    assert outage < max(times) <= outage + max(1, outage)


@pytest.mark.parametrize("outage", [1, 2, 10, 30, 300])
def test_a_crowd_comes_back_spread_over_the_time_that_it_was_away(outage: float) -> None:
    chance = random.Random(17).random
    spread = min(30, outage)
    tenths = Counter(int((absence(outage, chance) - outage) * 10 / spread) for _ in range(5000))
    assert max(tenths.values()) < 5000 / 3.5
    assert len(tenths) == 10


def test_what_the_server_told_this_client_alone_is_obeyed_and_counts_as_absence() -> None:
    clock = Time()
    backoff = Backoff(clock, lambda: 1.0)
    assert backoff.delay(0.25) == 0.25
    assert backoff.delay(6.0) == 6.0
    clock.now += 6
    assert backoff.delay() == 6.0


def test_what_the_server_tells_everybody_comes_before_the_random_time() -> None:
    assert Backoff(Time(), lambda: 0.5).delay(least=7.0) == 7.5


@pytest.mark.parametrize(("seconds", "wait"), [(8.0, 16.0), (8.25, 1.0)])
def test_waits_begin_again_after_a_connection_longer_than_the_longest_of_them(
    seconds: float, wait: float
) -> None:
    clock = Time()
    backoff = Backoff(clock, lambda: 1.0)
    for _ in range(4):
        clock.now += backoff.delay()  # 1, 1, 2, 4
    assert backoff.delay() == 8.0
    clock.now += 8
    backoff.lasted(seconds)
    assert backoff.delay() == wait


def test_the_first_loss_of_a_connection_begins_the_absence() -> None:
    clock = Time()
    backoff = Backoff(clock, lambda: 1.0)
    backoff.lasted(0.1)
    clock.now += 3600
    assert backoff.delay() == 1.0
