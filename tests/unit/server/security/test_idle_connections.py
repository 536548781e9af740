"""server/security/idle_connections.py: who waits for a request makes way in order, and leaves
nothing behind.
"""

from eventhub.server.security.idle_connections import CLOSED_AT_ONCE, IdleConnections
from tests.harness.clock import Clock


class Kept:
    """A connection that waits."""

    def __init__(
        self, idle: IdleConnections, closed: list["Kept"], key: object | None = None
    ) -> None:
        self.idle, self.closed, self.key = idle, closed, key

    def retire(self) -> None:
        self.idle.leave(self, self.key)
        self.closed.append(self)


def waiting(
    *keys: object | None, seconds: float = 10
) -> tuple[IdleConnections, list[Kept], list[Kept], Clock]:
    """Connections with these keys that begin to wait, a second after another; those that were
    closed; and their clock.
    """
    idle, closed, clock = IdleConnections(seconds), list[Kept](), Clock(0)
    kept = [Kept(idle, closed, key) for key in keys]
    for each in kept:
        idle.enter(each, each.key, clock)
        clock.advance(1)
    return idle, kept, closed, clock


def test_each_is_closed_when_its_time_is_up() -> None:
    idle, (first, second), closed, clock = waiting(None, None)
    clock.advance(7.5)
    assert closed == []
    clock.advance(0.5)
    assert closed == [first]
    clock.advance(1)
    assert closed == [first, second]
    assert (len(idle), clock.waits) == (0, [])


def test_one_that_gets_a_request_waits_anew_from_its_end() -> None:
    idle, (first, second), closed, clock = waiting(None, None)
    idle.leave(first, None)
    clock.advance(6)
    idle.enter(first, None, clock)
    clock.advance(3)
    assert closed == [second]
    clock.advance(7)
    assert closed == [second, first]


def test_a_request_that_is_read_in_the_turn_in_which_the_time_is_up_is_served() -> None:
    idle, (kept,), closed, clock = waiting(None)
    clock.now += 9
    clock.turn()  # its time is up: what the kernel holds is read next
    idle.leave(kept, None)
    clock.advance()
    assert closed == []


def test_the_one_that_waits_longest_makes_room() -> None:
    idle, (first, second, third), closed, _ = waiting(None, None, None)
    idle.leave(second, None)
    assert [idle.make_room() for _ in range(3)] == [True, True, False]
    assert closed == [first, third]


def test_room_for_an_address_is_made_by_its_own() -> None:
    idle, (_, second, third), closed, _ = waiting("a", "b", "b")
    assert idle.make_room("b")
    assert closed == [second]
    idle.leave(third, "b")
    assert not idle.make_room("b")
    assert not idle.make_room("c")
    assert len(idle) == 1


def test_leaving_without_having_waited_is_nothing() -> None:
    idle, _, closed, _ = waiting()
    idle.leave(Kept(idle, closed), "a")
    assert len(idle) == 0


def test_many_whose_time_is_up_together_are_closed_in_slices_and_there_is_one_timer() -> None:
    idle, closed, clock = IdleConnections(10), list[Kept](), Clock(0)
    for _ in range(3 * CLOSED_AT_ONCE):
        idle.enter(Kept(idle, closed), None, clock)
    assert len(clock.waits) == 1
    clock.now = 10
    for _ in range(3):
        clock.turn()
    assert len(closed) == CLOSED_AT_ONCE
    for _ in range(6):
        clock.turn()
    assert len(closed) == 3 * CLOSED_AT_ONCE
    assert clock.waits == []


def test_those_that_come_after_all_others_were_closed_are_closed_in_their_time() -> None:
    idle, (first, second), closed, clock = waiting("a", "b")
    clock.advance(20)
    assert closed == [first, second]
    idle.enter(first, "a", clock)
    clock.advance(9)
    assert len(closed) == 2
    clock.advance(1)
    assert closed == [first, second, first]


def test_a_limit_that_nobody_shares_any_more_is_forgotten() -> None:
    idle, (first, second), closed, _ = waiting("a", "a")
    idle.leave(first, "a")
    assert idle.make_room("a")
    assert closed == [second]
    assert not idle.make_room("a")
    assert idle._by_key == {}
