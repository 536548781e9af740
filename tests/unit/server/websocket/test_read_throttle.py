"""server/websocket/read_throttle.py: what a client is charged, and how its frames wait."""

from collections.abc import Callable
from typing import Any

import pytest

from eventhub.common.token_bucket import COMMAND_BYTES, COMMAND_SECONDS, TokenBucket
from eventhub.server.websocket.frame_parser import FrameParser
from eventhub.server.websocket.read_throttle import MIN_PAUSE_SECONDS, ReadThrottle
from tests.harness.clock import Clock

RATE, BURST = 10, 20


class ManualTurns:
    """Turns that a test looks at."""

    def __init__(self) -> None:
        self.queued: list[tuple[float, int]] = []

    def later(self, act: Callable[[], None], since: float, size: int) -> None:
        assert act is nothing
        self.queued.append((since, size))

    def advanced_position(self, since: float, seconds: float) -> float:
        return since + seconds


def nothing() -> None: ...


@pytest.fixture
def throttle() -> ReadThrottle:
    return ReadThrottle(TokenBucket(RATE, BURST))


def parsed(frames: int, size: int = 0) -> FrameParser:
    parser = FrameParser(1024)
    parser.frames, parser.size = frames, size
    return parser


@pytest.mark.parametrize(
    ("frames", "size", "cpu_seconds"),
    [(BURST, 0, 0.0), (1, BURST * COMMAND_BYTES, 0.0), (1, 0, BURST * COMMAND_SECONDS)],
    ids=["frames", "bytes", "CPU time"],
)
def test_a_client_pauses_once_its_burst_is_used_up(
    throttle: ReadThrottle, frames: int, size: int, cpu_seconds: float
) -> None:
    assert throttle.charge(parsed(1), 0.0, 0.0) == 0.0
    assert throttle.charge(parsed(frames, size), cpu_seconds, 0.0) > 0.0


def test_a_charge_counts_each_frame_once(throttle: ReadThrottle) -> None:
    parser = parsed(BURST - 1)
    throttle.charge(parser, 0.0, 0.0)
    assert (parser.frames, parser.size) == (0, 0)


def test_a_pause_is_worth_waking_up_for(throttle: ReadThrottle) -> None:
    clock = Clock(0)
    throttle.pause(0.001, clock.loop, nothing)
    throttle.pause(2.0, clock.loop, nothing)
    assert clock.waits == [MIN_PAUSE_SECONDS, 2.0]


def test_frames_wait_in_order_and_are_released_once(throttle: ReadThrottle) -> None:
    assert throttle.frames is None
    throttle.hold(iter([(1, b"a")]))
    throttle.hold(iter([(1, b"b")]))
    assert throttle.frames is not None
    released = throttle.release()
    assert released is not None
    assert list(released) == [(1, b"a"), (1, b"b")]
    assert (throttle.frames, throttle.release()) == (None, None)


def test_a_client_that_used_its_turn_waits_behind_others(throttle: ReadThrottle) -> None:
    turns: Any = ManualTurns()
    throttle.queue(turns, nothing, 100)
    throttle.served(turns, 0.5)
    throttle.queue(turns, nothing, 100)
    assert turns.queued == [(0.0, 100), (0.5, 100)]


def test_a_throttle_rests_when_its_bucket_is_full_and_nothing_waits(
    throttle: ReadThrottle,
) -> None:
    assert throttle.at_rest(0.0)
    throttle.charge(parsed(RATE), 0.0, 5.0)
    assert [throttle.at_rest(now) for now in (5.0, 5.999, 6.0)] == [False, False, True]
    throttle.hold(iter(()))
    assert not throttle.at_rest(6.0)


def test_a_closed_connection_drops_its_frames_and_its_timer(throttle: ReadThrottle) -> None:
    clock = Clock()
    throttle.hold(iter([(1, b"a")]))
    throttle.pause(1.0, clock.loop, nothing)
    throttle.stop()
    assert (throttle.frames, clock.waits) == (None, [])
