"""limits.py: never more than the burst and what the rate gives, and exactly the rate on average."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.common.token_bucket import TokenBucket, commands

NOW = 1_770_000_000_000.0
"""Milliseconds since the Unix epoch: as large as real ones, so that rounding shows."""

rates = st.floats(0.1, 100_000)
bursts = st.floats(1, 100_000)


def take(bucket: TokenBucket, count: float, now_ms: float) -> float:
    """Take `count` if any may be taken now: 0.0. Otherwise nothing is taken: the seconds until it
    may be.
    """
    if not (wait := bucket.wait(now_ms)):
        bucket.spend(count, now_ms)
    return wait


def test_a_burst_is_allowed_at_once_and_no_more() -> None:
    bucket = TokenBucket(10, 5)
    assert [take(bucket, 1, NOW) for _ in range(5)] == [0.0] * 5
    assert take(bucket, 1, NOW) > 0


def test_it_says_when_to_come_back_and_keeps_its_word() -> None:
    bucket = TokenBucket(10, 1)
    take(bucket, 3, NOW)
    assert bucket.wait(NOW) == pytest.approx(0.2, abs=0.001), "two in debt, at ten a second"
    assert take(bucket, 1, NOW + 199) > 0
    assert take(bucket, 1, NOW + 201) == 0


def test_what_is_refused_takes_nothing() -> None:
    bucket = TokenBucket(1, 1)
    take(bucket, 1, NOW)
    for _ in range(100):
        assert take(bucket, 1, NOW) <= 0.001
    assert take(bucket, 1, NOW + 2) == 0


def test_a_batch_larger_than_the_burst_is_allowed_and_paid_off_afterwards() -> None:
    bucket = TokenBucket(10, 5)
    assert take(bucket, 100, NOW) == 0
    assert take(bucket, 1, NOW) == pytest.approx(9.5, abs=0.001)


def test_a_pause_gives_no_more_than_the_burst() -> None:
    bucket = TokenBucket(10, 5)
    take(bucket, 5, NOW)
    assert sum(take(bucket, 1, NOW + 3_600_000) == 0 for _ in range(10)) == 5


def test_what_was_used_already_is_charged_whatever_the_level() -> None:
    bucket = TokenBucket(10, 2)
    assert bucket.charge(1, NOW) == 0
    assert bucket.charge(1, NOW) > 0
    assert bucket.charge(10, NOW) == pytest.approx(1, abs=0.001)


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    bucket = TokenBucket(10, 1)
    take(bucket, 1, NOW)
    assert take(bucket, 1, NOW - 10_000) > 0


@given(rates, bursts, st.lists(st.tuples(st.floats(0, 5000), st.floats(0.01, 1000)), max_size=60))
def test_never_more_than_the_burst_the_rate_and_one_request(
    rate: float, burst: float, tries: list[tuple[float, float]]
) -> None:
    bucket, now, taken, largest = TokenBucket(rate, burst), NOW, 0.0, 0.0
    for pause, count in tries:
        now += pause
        if take(bucket, count, now) == 0:
            taken += count
            largest = max(largest, count)
    assert taken <= (burst + rate * (now - NOW) / 1000 + largest) * 1.001


@given(rates, bursts, st.lists(st.floats(0.01, 1000), min_size=50, max_size=50))
def test_who_always_waits_as_told_gets_the_rate_on_average(
    rate: float, burst: float, counts: list[float]
) -> None:
    bucket, now, taken = TokenBucket(rate, burst), NOW, 0.0
    for count in counts:
        while wait := take(bucket, count, now):
            now += (
                wait * 1000 + 0.001
            )  # a microsecond for what milliseconds of this size cannot hold
        taken += count
    earned = rate * (now - NOW) / 1000
    assert earned <= taken * 1.01 + rate * 0.0001 * len(counts)
    assert taken <= (burst + earned + max(counts)) * 1.001


@pytest.mark.parametrize(
    ("frames", "size", "seconds", "count"),
    [
        (1, 15, 0.00001, 1),
        (64, 0, 0.0001, 64),
        (1, 64 * 1024, 0.0005, 4),
        (1, 115, 0.0135, 54),
        (0, 0, 0, 0),
    ],
    ids=["a ping", "fragments", "a large message", "a dear message", "nothing"],
)
def test_what_a_client_sent_counts_by_what_it_has_most_of(
    frames: int, size: int, seconds: float, count: float
) -> None:
    assert commands(frames, size, seconds) == pytest.approx(count)
