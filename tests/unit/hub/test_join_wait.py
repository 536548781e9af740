"""Events wait for others only while publishers are as fast as the fan-out, and while it helps."""

import pytest

from eventhub.hub.join_wait import MOST_SECONDS, MOST_SKIPPED, SHARE, JoinWait

FLUSH = 0.002


def busy(flush: float = FLUSH) -> JoinWait:
    """A schedule whose last flush ended at 100."""
    wait = JoinWait()
    wait.flushed(100 - flush, 100.0)
    return wait


def test_the_first_event_does_not_wait() -> None:
    assert JoinWait().begin(100.0) == 100.0


def test_an_event_right_behind_a_flush_waits_for_a_share_of_what_that_took() -> None:
    assert busy().begin(100.0) == pytest.approx(100 + FLUSH * SHARE)
    assert busy().begin(100.0001) == pytest.approx(100.0001 + FLUSH * SHARE)


def test_an_event_that_comes_later_than_a_wait_would_take_does_not_wait() -> None:
    late = 100 + FLUSH * SHARE * 1.01
    assert busy().begin(late) == late


def test_no_event_waits_longer_than_the_most() -> None:
    assert busy(flush=1.0).begin(100.0) == pytest.approx(100 + MOST_SECONDS)


def test_nothing_waits_behind_a_flush_that_took_no_time() -> None:
    assert busy(flush=0.0).begin(100.0) == 100.0


def skipped(wait: JoinWait) -> int:
    """How many flushes begin at once before the next wait."""
    for count in range(1000):
        if wait.begin(100.0) > 100.0:
            return count
    raise AssertionError("there is no wait any more")


def test_each_wait_in_vain_doubles_the_flushes_without_one_up_to_a_bound() -> None:
    wait = busy()
    assert skipped(wait) == 0
    counts = []
    for _ in range(7):
        wait.waited(joined=False)
        counts.append(skipped(wait))
    assert counts == [2, 4, 8, 16, 32, MOST_SKIPPED, MOST_SKIPPED]


def test_after_a_wait_that_joined_events_the_next_flush_waits_too() -> None:
    wait = busy()
    for _ in range(3):
        wait.waited(joined=False)
    wait.waited(joined=True)
    assert skipped(wait) == 0
    wait.waited(joined=False)
    assert skipped(wait) == 2
