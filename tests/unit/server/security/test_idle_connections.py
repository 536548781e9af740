"""server/security/idle_connections.py: who waits for a request makes way in order, and leaves
nothing behind.
"""

from collections.abc import Callable
from typing import Any

from eventhub.server.security.idle_connections import CLOSED_AT_ONCE, IdleConnections


class Loop:
    """A loop whose time a test lets pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[..., object], tuple[Any, ...]]] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[..., object], /, *arguments: Any) -> None:
        self.timers.append((when, callback, arguments))

    def call_soon(self, callback: Callable[..., object], /, *arguments: Any) -> None:
        self.timers.append((self.now, callback, arguments))

    def turn(self) -> None:
        due, self.timers = (
            [t for t in self.timers if t[0] <= self.now],
            [t for t in self.timers if t[0] > self.now],
        )
        for _, callback, arguments in due:
            callback(*arguments)

    def wait(self, seconds: float) -> None:
        """Let time pass, then what is due and what follows from that happen."""
        self.now += seconds
        for _ in range(4):
            self.turn()


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
) -> tuple[IdleConnections, list[Kept], list[Kept], Loop]:
    """Connections with these keys that begin to wait, a second after another; those that were
    closed; and their loop.
    """
    idle, closed, loop = IdleConnections(seconds), list[Kept](), Loop()
    kept = [Kept(idle, closed, key) for key in keys]
    for each in kept:
        idle.enter(each, each.key, loop)
        loop.wait(1)
    return idle, kept, closed, loop


def test_each_is_closed_when_its_time_is_up() -> None:
    idle, (first, second), closed, loop = waiting(None, None)
    loop.wait(7.5)
    assert closed == []
    loop.wait(0.5)
    assert closed == [first]
    loop.wait(1)
    assert closed == [first, second]
    assert (len(idle), loop.timers) == (0, [])


def test_one_that_gets_a_request_waits_anew_from_its_end() -> None:
    idle, (first, second), closed, loop = waiting(None, None)
    idle.leave(first, None)
    loop.wait(6)
    idle.enter(first, None, loop)
    loop.wait(3)
    assert closed == [second]
    loop.wait(7)
    assert closed == [second, first]


def test_a_request_that_is_read_in_the_turn_in_which_the_time_is_up_is_served() -> None:
    idle, (kept,), closed, loop = waiting(None)
    loop.now += 9
    loop.turn()  # its time is up: what the kernel holds is read next
    idle.leave(kept, None)
    loop.wait(0)
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
    idle, closed, loop = IdleConnections(10), list[Kept](), Loop()
    for _ in range(3 * CLOSED_AT_ONCE):
        idle.enter(Kept(idle, closed), None, loop)
    assert len(loop.timers) == 1
    loop.now = 10
    for _ in range(3):
        loop.turn()
    assert len(closed) == CLOSED_AT_ONCE
    for _ in range(6):
        loop.turn()
    assert len(closed) == 3 * CLOSED_AT_ONCE
    assert loop.timers == []
