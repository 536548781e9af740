"""server/connections/heartbeats.py: one beat a period for everybody, whatever their number, and
none of them early.
"""

from collections import defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.server.connections.heartbeats import STEPS, Heartbeats

PERIOD = 25.0


def beaten(arrivals: list[float], until: float) -> dict[int, list[float]]:
    """When each of those that came then was beaten, on a clock that goes where `wait` says."""
    heartbeats = Heartbeats[int](PERIOD)
    beats: dict[int, list[float]] = defaultdict(list)
    waiting = sorted(enumerate(arrivals), key=lambda arrival: arrival[1])
    now = 0.0
    while now < until:
        now += heartbeats.wait(now)
        while waiting and waiting[0][1] <= now:
            heartbeats.add(*waiting.pop(0))
        for key in heartbeats.take(now):
            beats[key].append(now)
    return beats


@pytest.mark.parametrize("count", [1, 2, 499, 500, 501, 1000, 10_000])
@pytest.mark.parametrize("over", [0.0, 0.1, PERIOD])
def test_everybody_has_one_beat_a_period_whatever_their_number(count: int, over: float) -> None:
    arrivals = [over * number / count for number in range(count)]
    beats = beaten(arrivals, 3 * PERIOD + over + 1)
    assert len(beats) == count
    for number, came in enumerate(arrivals):
        moments = [came, *beats[number]]
        spaces = [after - before for before, after in pairwise(moments)]
        assert all(PERIOD - 1e-6 <= space <= PERIOD * (1 + 2 / STEPS) for space in spaces), (
            number,
            spaces,
        )
        assert len(spaces) >= 3


@given(st.lists(st.floats(0, 60), max_size=40))
def test_no_beat_is_early_and_none_is_left_out_whenever_they_come(arrivals: list[float]) -> None:
    for number, moments in beaten(arrivals, 200).items():
        assert moments[0] - arrivals[number] >= PERIOD - 1e-6
        assert all(after - before >= PERIOD - 1e-6 for before, after in pairwise(moments))
        assert len(moments) >= (200 - arrivals[number]) // (PERIOD * (1 + 2 / STEPS)) - 1


def test_a_stall_costs_nobody_two_beats_at_once() -> None:
    heartbeats = Heartbeats[str](PERIOD)
    heartbeats.add("ana", 0)
    assert heartbeats.take(10 * PERIOD) == ["ana"]
    assert heartbeats.take(10 * PERIOD + 1) == []
    assert heartbeats.take(11 * PERIOD) == ["ana"]


def test_who_has_left_is_not_beaten() -> None:
    heartbeats = Heartbeats[str](PERIOD)
    heartbeats.add("ana", 0)
    heartbeats.add("rui", 0)
    heartbeats.discard("ana")
    heartbeats.discard("nobody")
    assert heartbeats.take(PERIOD) == ["rui"]
    assert len(heartbeats) == 1


def test_a_node_without_connections_sleeps_a_whole_period() -> None:
    heartbeats = Heartbeats[str](PERIOD)
    assert heartbeats.wait(7) == PERIOD
    heartbeats.add("ana", 7)
    assert heartbeats.wait(7) == PERIOD
    assert heartbeats.wait(7 + PERIOD - 1) == 1
