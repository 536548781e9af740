"""eviction.py: connections are ended one by one, from the loop, whatever ending one leads to."""

from collections.abc import Callable
from functools import partial

from eventhub.common.faults import internal
from eventhub.delivery.subscriber import Subscriber
from eventhub.errors import SlowConsumer
from eventhub.events.event import Latest
from eventhub.hub import eviction as endings_module
from eventhub.hub.eviction import EvictionQueue
from tests.harness.wire import Wire

ERROR = SlowConsumer("full")


class Loop:
    """Endings on a loop that turns when a test says so."""

    def __init__(self, count: int) -> None:
        self.due: list[Callable[[], None]] = []
        self.noted: list[tuple[str, str, dict[str, str]]] = []
        self.endings = EvictionQueue(
            self.due.append,
            lambda where, error, **fields: self.noted.append((where, str(error), fields)),
        )
        self.wires = [Wire() for _ in range(count)]
        self.subscribers = [
            Subscriber("chat.a", Latest(), wire, lambda *_: None, session="s1")
            for wire in self.wires
        ]

    def add(self, number: int) -> None:
        self.endings.add(self.subscribers[number], ERROR)

    def turn(self) -> bool:
        """Whether there was something to do."""
        due = self.due.copy()
        self.due.clear()
        for work in due:
            work()
        return bool(due)

    def ended(self) -> list[int]:
        return [len(wire.errors) for wire in self.wires]


def test_nothing_is_ended_from_inside_the_call_and_each_once() -> None:
    loop = Loop(2)
    for number in (0, 1, 0):
        loop.add(number)
    assert loop.ended() == [0, 0]
    assert loop.turn()
    assert loop.ended() == [1, 1]
    assert loop.wires[0].errors == [ERROR]
    assert not loop.wires[0].aborted
    assert not loop.turn()


def test_a_connection_ends_with_the_first_error() -> None:
    loop = Loop(1)
    loop.add(0)
    loop.endings.add(loop.subscribers[0], internal())
    loop.turn()
    assert loop.wires[0].errors == [ERROR]


def test_a_connection_that_is_to_end_later_is_ended_in_a_turn_of_its_own() -> None:
    loop = Loop(2)
    for number in range(2):
        loop.add(number)
        assert loop.turn()
        assert not loop.turn()
    assert loop.ended() == [1, 1]


def test_one_that_is_not_to_end_may_leave() -> None:
    loop = Loop(1)
    loop.endings.discard(loop.subscribers[0])
    assert not loop.turn()


def test_ends_that_lead_to_ends_are_no_recursion() -> None:
    loop = Loop(5000)
    for number, wire in enumerate(loop.wires[:-1]):
        wire.on_fail = partial(loop.add, number + 1)
    loop.add(0)
    for _ in loop.wires:
        assert loop.turn()
    assert not loop.turn()
    assert loop.ended() == [1] * 5000


def test_who_leaves_first_is_not_ended() -> None:
    loop = Loop(3)
    for number in range(3):
        loop.add(number)
    loop.wires[0].on_fail = lambda: loop.endings.discard(loop.subscribers[2])
    loop.endings.discard(loop.subscribers[1])
    loop.turn()
    assert loop.ended() == [1, 0, 0]
    assert len(loop.endings) == 0
    assert not loop.turn()


def test_many_are_ended_in_several_turns() -> None:
    loop = Loop(endings_module.SLICE + 1)
    for number in range(len(loop.wires)):
        loop.add(number)
    loop.turn()
    assert sum(loop.ended()) == endings_module.SLICE
    loop.turn()
    assert sum(loop.ended()) == endings_module.SLICE + 1
    assert not loop.turn()


def test_one_that_cannot_be_ended_costs_the_others_nothing() -> None:
    loop = Loop(2)

    def fault() -> None:
        raise ZeroDivisionError("a fault of ours")

    loop.wires[0].on_fail = fault
    loop.add(0)
    loop.add(1)
    loop.turn()
    assert loop.ended() == [1, 1]
    assert [wire.aborted for wire in loop.wires] == [True, False]
    assert loop.noted == [("ending", "a fault of ours", {"session": "s1", "channel": "chat.a"})]
