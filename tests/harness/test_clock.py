"""tests/harness/clock.py: timers are called at their time, in order."""

import pytest

from tests.harness.clock import Clock


def test_timers_are_called_in_order_at_their_time() -> None:
    clock, called = Clock(100), list[tuple[str, float]]()

    def note(name: str) -> None:
        called.append((name, clock.now))

    clock.call_later(2, note, "later")
    clock.call_at(101, note, "at")
    clock.call_soon(note, "soon")
    clock.call_later(3.5, note, "not yet")
    clock.call_later(1, note, "cancelled").cancel()
    assert clock.advance(3) == 3
    assert called == [("soon", 100), ("at", 101), ("later", 102)]
    assert (clock.now, clock.time(), clock()) == (103, 103, 103_000)
    assert clock.waits == [0.5]


def test_a_timer_may_set_another_that_is_due_as_well() -> None:
    clock, called = Clock(0), list[float]()

    def again() -> None:
        called.append(clock.now)
        if len(called) < 3:
            clock.call_later(1, again)

    clock.call_soon(again)
    clock.advance(10)
    assert called == [0, 1, 2]


def test_timers_that_go_round_in_circles_end_the_test() -> None:
    clock = Clock()

    def again() -> None:
        clock.call_soon(again)

    again()
    with pytest.raises(AssertionError, match="in circles"):
        clock.advance()


def test_a_turn_calls_what_was_due_when_it_began() -> None:
    clock, called = Clock(0), list[str]()
    later = clock.call_soon(called.append, "cancelled meanwhile")

    def first() -> None:
        called.append("first")
        clock.call_soon(called.append, "second")
        clock.call_later(1, called.append, "later")

    later.cancel()
    clock.call_soon(first)
    assert (clock.turn(), called) == (1, ["first"])
    assert (clock.turn(), called) == (1, ["first", "second"])
    assert (clock.turn(), clock.waits) == (0, [1])
