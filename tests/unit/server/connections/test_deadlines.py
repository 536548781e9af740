"""server/connections/deadlines.py: what is due is called once, in its tick; what is cleared is not;
nothing is held afterwards.
"""

from functools import partial

from hypothesis import given, settings
from hypothesis import strategies as st

from eventhub.common.faults import Faults
from eventhub.server.connections.deadlines import HORIZON, SLICE, TICKS, Deadlines
from tests.harness.clock import Clock


def test_it_is_called_once_and_not_before_its_time_nor_a_tick_late() -> None:
    clock, called = Clock(1000.5), list[float]()
    deadlines = Deadlines(clock, Faults())
    deadlines.after("a", 3.2, lambda: called.append(clock.now))
    clock.reach(1003.69)
    assert called == []
    clock.reach(1010)
    assert called == [1003.75]
    assert len(deadlines) == 0


def test_what_is_cleared_is_not_called() -> None:
    clock, called = Clock(1000.5), list[str]()
    deadlines = Deadlines(clock, Faults())
    deadlines.after("a", 1, lambda: called.append("a"))
    deadlines.after("b", 1, lambda: called.append("b"))
    deadlines.clear("a")
    deadlines.clear("never set")
    clock.reach(1010)
    assert called == ["b"]


def test_a_key_has_one_deadline_and_the_last_one_counts() -> None:
    clock, called = Clock(1000.5), list[str]()
    deadlines = Deadlines(clock, Faults())
    deadlines.after("a", 1, lambda: called.append("early"))
    deadlines.after("a", 5, lambda: called.append("late"))
    assert len(deadlines) == 1
    clock.reach(1003)
    assert called == []
    clock.reach(1010)
    assert called == ["late"]


def test_purposes_of_one_connection_are_apart() -> None:
    clock, called = Clock(1000.5), list[str]()
    deadlines, connection = Deadlines(clock, Faults()), object()
    deadlines.after((connection, "first"), 1, lambda: called.append("first"))
    deadlines.after((connection, "token"), 1, lambda: called.append("token"))
    deadlines.clear((connection, "first"))
    clock.reach(1010)
    assert called == ["token"]


def test_one_timer_serves_all_of_a_tick() -> None:
    clock = Clock(1000.5)
    deadlines = Deadlines(clock, Faults())
    for number in range(1000):
        deadlines.after(number, 2.01 + number / 10_000, lambda: None)
    assert len(clock.waits) == 1


def test_what_is_far_away_leaves_no_timer_that_is() -> None:
    clock, called = Clock(1000.5), list[float]()
    deadlines = Deadlines(clock, Faults())
    for number in range(
        3 * HORIZON
    ):  # tokens for years, each of a connection that stays for a moment
        deadlines.after("a", 10_000_000 + number, lambda: None)
        clock.reach(clock.now + 0.01)
    assert len(clock.waits) < 200 * TICKS
    deadlines.after("a", 2.5 * HORIZON, lambda: called.append(clock.now))
    expected = clock.now + 2.5 * HORIZON
    clock.reach(expected + 10 * HORIZON)
    assert len(called) == 1
    assert expected <= called[0] < expected + 1 / TICKS


def test_many_at_once_leave_room_for_others_in_between() -> None:
    clock, called = Clock(1000.5), list[int]()
    deadlines = Deadlines(clock, Faults())
    for number in range(3 * SLICE):
        deadlines.after(number, 1, partial(called.append, number))
    assert clock.reach(1010) == 3
    assert called == list(range(3 * SLICE))


def test_what_expires_may_clear_others_and_set_again() -> None:
    clock, called = Clock(1000.5), list[str]()
    deadlines = Deadlines(clock, Faults())

    def first() -> None:
        called.append("a")
        deadlines.clear("b")
        deadlines.set("a", 0, lambda: called.append("again"))

    deadlines.after("a", 1, first)
    deadlines.after("b", 1, lambda: called.append("b"))
    clock.reach(1010)
    assert called == ["a", "again"]


def test_a_fault_of_one_leaves_the_others_theirs() -> None:
    clock, called, faults = Clock(1000.5), list[str](), Faults()
    deadlines = Deadlines(clock, faults)
    deadlines.after("a", 1, lambda: called.extend([str(1 // 0)]))
    deadlines.after("b", 1, lambda: called.append("b"))
    clock.reach(1010)
    assert called == ["b"]
    assert faults.counts == {"deadline": 1}


@settings(deadline=None)  # hypothesis measures wall time, and the machine may be busy
@given(
    st.lists(
        st.tuples(st.sampled_from(["set", "clear", "pass"]), st.integers(0, 5), st.floats(0, 8)),
        max_size=60,
    )
)
def test_they_are_called_as_single_timers_would_be_a_tick_late_at_most(
    steps: list[tuple[str, int, float]],
) -> None:
    clock, wanted, called = Clock(1000.5), dict[int, float](), list[tuple[int, float]]()
    deadlines = Deadlines(clock, Faults())
    for step, key, seconds in steps:
        if step == "set":
            wanted[key] = clock.now + seconds
            deadlines.after(key, seconds, partial(lambda key: called.append((key, clock.now)), key))
        elif step == "clear":
            wanted.pop(key, None)
            deadlines.clear(key)
        else:
            clock.reach(clock.now + seconds)
            for key, when in called:
                assert wanted.pop(key) <= when
            called.clear()
            assert all(when > clock.now - 1 / TICKS for when in wanted.values())
        assert len(deadlines) == len(wanted)
    clock.reach(clock.now + 20)
    assert sorted(key for key, _ in called) == sorted(wanted)
    assert len(deadlines) == 0


def test_a_tick_that_is_over_leaves_nothing() -> None:
    clock = Clock(1000.5)
    deadlines = Deadlines(clock, Faults())
    for number in range(10):
        deadlines.after(number, number, lambda: None)
    clock.reach(1100)
    assert deadlines._due == {}
