"""server/connections/fair_queue.py: how much input a turn processes, and in which order."""

import asyncio
from functools import partial

import pytest

from eventhub.server.connections.fair_queue import (
    BURST,
    LOOP_TURNS_BETWEEN,
    SLICE_SECONDS,
    SMALL,
    TURN_SECONDS,
    WORTH_COUNTING,
    FairQueue,
    TimeSlice,
)
from tests.harness.clock import Clock
from tests.harness.eventually import turns_until
from tests.harness.loop import in_loop


class Crowd:
    """Clients with several pieces of work each. A piece takes some time."""

    def __init__(self, seconds: float) -> None:
        self.clock = Clock()
        self.fair_queue = FairQueue(self.clock.loop)
        self.seconds = seconds
        self.done: list[str] = []
        self.stand: dict[str, float] = {}

    def work(self, name: str, pieces: int) -> None:
        self.done.append(name)
        self.fair_queue.spend(self.seconds)
        self.stand[name] = self.fair_queue.advanced_position(
            self.stand.get(name, 0.0), self.seconds
        )
        if pieces > 1:
            self.wait(name, pieces - 1)

    def wait(self, name: str, pieces: int = 1, size: int = BURST) -> None:
        self.fair_queue.later(lambda: self.work(name, pieces), self.stand.get(name, 0.0), size)

    def turn(self) -> list[str]:
        """Run everything until other work has had its turns."""
        self.done = []
        for _ in range(LOOP_TURNS_BETWEEN):
            self.clock.turn()
        return self.done


def test_a_turn_with_little_work_is_not_over_and_schedules_nothing() -> None:
    crowd = Crowd(WORTH_COUNTING / 2)
    for _ in range(1000):
        crowd.work("ping", 1)
    assert not crowd.fair_queue.over
    assert crowd.clock.waits == []


def test_a_turn_is_over_when_its_time_is_up_and_the_next_has_full_time() -> None:
    crowd = Crowd(TURN_SECONDS / 2)
    crowd.work("ana", 1)
    assert not crowd.fair_queue.over
    crowd.work("ben", 1)
    assert crowd.fair_queue.over
    crowd.turn()
    assert not crowd.fair_queue.over


def test_waiting_work_continues_in_later_turns_one_piece_per_client() -> None:
    crowd = Crowd(TURN_SECONDS)
    for name in ("ana", "ben", "cem"):
        crowd.wait(name, 2)
    turns = [crowd.turn() for _ in range(7)]
    assert turns == [["ana"], ["ben"], ["cem"], ["ana"], ["ben"], ["cem"], []]
    assert not crowd.fair_queue.over
    assert crowd.clock.waits == []


def test_small_pieces_share_a_turn() -> None:
    crowd = Crowd(TURN_SECONDS / 4)
    for name in "abcdef":
        crowd.wait(name)
    assert ["".join(crowd.turn()) for _ in range(2)] == ["abcd", "ef"]


def test_a_new_client_waits_behind_those_that_wait() -> None:
    crowd = Crowd(0)
    crowd.wait("ana")
    assert crowd.fair_queue.over


def test_a_small_message_of_an_idle_client_goes_before_the_next_piece_of_every_burst() -> None:
    crowd = Crowd(TURN_SECONDS)
    for number in range(200):
        crowd.wait(f"burst {number}", 3)
    crowd.turn()
    crowd.wait("a burst that comes later", 3)
    crowd.wait("idle", size=100)
    assert crowd.turn() == ["idle"]
    turns = [crowd.turn()[0] for _ in range(200)]
    assert turns == [
        *(f"burst {number}" for number in range(1, 200)),
        "a burst that comes later",
    ], "every client once before any client twice"


def test_time_is_shared_evenly_however_long_a_piece_takes() -> None:
    crowd, used = Crowd(0), {"short": 0.0, "long": 0.0}

    def work(name: str, seconds: float) -> None:
        used[name] += seconds
        crowd.fair_queue.spend(seconds)
        crowd.stand[name] = crowd.fair_queue.advanced_position(crowd.stand.get(name, 0.0), seconds)
        crowd.fair_queue.later(partial(work, name, seconds), crowd.stand[name])

    crowd.fair_queue.later(partial(work, "short", SLICE_SECONDS))
    crowd.fair_queue.later(partial(work, "long", 40 * SLICE_SECONDS))
    for _ in range(2000):
        crowd.turn()
    assert used["short"] == pytest.approx(used["long"], rel=0.05)


def test_time_used_while_no_one_waited_does_not_count_except_for_the_last_piece() -> None:
    crowd = Crowd(TURN_SECONDS)
    crowd.wait("ana", 50)
    while crowd.turn():
        pass
    crowd.wait("ana")
    crowd.wait("ben", 5)
    turns = [crowd.turn()[0] for _ in range(4)]
    assert turns.index("ana") <= 2


def test_the_loop_does_other_work_between_two_pieces() -> None:
    crowd = Crowd(TURN_SECONDS)
    crowd.wait("ana", 2)
    crowd.turn()
    crowd.done = []
    for _ in range(LOOP_TURNS_BETWEEN - 1):
        crowd.clock.turn()
    assert crowd.done == []
    crowd.clock.turn()
    assert crowd.done == ["ana"]


def test_an_exception_in_one_piece_does_not_stop_the_others() -> None:
    crowd = Crowd(TURN_SECONDS)
    crowd.fair_queue.later(partial(divmod, 1, 0))
    crowd.fair_queue.later(lambda: crowd.work("ben", 1))
    with pytest.raises(ZeroDivisionError):
        crowd.turn()
    assert crowd.turn() == ["ben"], "it was not lost"


@in_loop
async def test_each_coroutine_gets_a_turn_and_a_cancelled_one_blocks_none() -> None:
    fair_queue = FairQueue(asyncio.get_running_loop())
    order: list[str] = []

    async def work(name: str) -> None:
        for _ in range(2):
            await fair_queue.next_turn()
            order.append(name)

    tasks = [asyncio.ensure_future(work(name)) for name in "abc"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert order == ["a", "c", "a", "c"]
    assert [type(each) for each in done] == [type(None), asyncio.CancelledError, type(None)]


@in_loop
async def test_a_slice_is_over_after_its_time_and_counts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("eventhub.server.connections.fair_queue.thread_time", lambda: now[0])
    fair_queue = FairQueue(asyncio.get_running_loop())
    with TimeSlice(fair_queue) as piece:
        assert not piece.over
        now[0] += SLICE_SECONDS * 1.1
        assert piece.over
    assert fair_queue._spent == pytest.approx(SLICE_SECONDS * 1.1)
    await asyncio.wait_for(piece.next_turn(), 5)
    assert not piece.over


@in_loop
async def test_coroutines_share_a_turn_and_other_work_runs_between_two_turns() -> None:
    fair_queue = FairQueue(asyncio.get_running_loop())
    order: list[str] = []

    async def work(name: str) -> None:
        await fair_queue.next_turn()
        order.append(name)
        fair_queue.spend(TURN_SECONDS / 2)

    tasks = [asyncio.ensure_future(work(name)) for name in "abcd"]
    async for _ in turns_until(lambda: all(task.done() for task in tasks)):
        order.append(".")  # noqa: PERF401  # among what the tasks append
    pieces = "".join(order).strip(".").split("." * (LOOP_TURNS_BETWEEN - 1))
    assert [piece.replace(".", "") for piece in pieces] == ["ab", "cd"]


def test_small_input_goes_first_even_if_its_client_used_more_than_its_share() -> None:
    crowd = Crowd(SLICE_SECONDS)
    for number in range(100):
        crowd.wait(f"burst {number}", 10)
    crowd.stand["honest"] = 1.0  # far behind all others, were the shares even
    crowd.turn()
    crowd.wait("honest", size=SMALL)
    assert crowd.turn()[0] == "honest"


def test_small_input_gets_half_of_a_turn_while_larger_input_waits() -> None:
    crowd = Crowd(SLICE_SECONDS)
    crowd.wait("burst", 10)
    for number in range(100):
        crowd.wait(f"small {number}", size=SMALL)
    for _ in range(3):
        done = crowd.turn()
        assert done.count("burst") == len(done) // 2 == round(TURN_SECONDS / SLICE_SECONDS) // 2


def test_cheap_small_input_is_bounded_per_turn() -> None:
    crowd = Crowd(0.0)
    for number in range(1000):
        crowd.wait(f"small {number}", size=SMALL)
    assert len(crowd.turn()) <= round(TURN_SECONDS / (WORTH_COUNTING / 2)) + 1
    assert crowd.fair_queue.over
