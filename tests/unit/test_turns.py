"""turns.py: how much of what clients sent is done in a turn of the loop, and in which order the rest."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from eventhub.server.turns import SLICE_SECONDS, TURN_SECONDS, WORTH_COUNTING, Slice, Turns
from tests.loop import in_loop


class Loop:
    """Turns of a loop, one after another."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], None]] = []

    def call_soon(self, act: Callable[[], None]) -> None:
        self.soon.append(act)

    def turn(self) -> None:
        acts, self.soon = self.soon, []
        for act in acts:
            act()


class Crowd:
    """Clients that each have several pieces of work, of which each takes a while."""

    def __init__(self, seconds: float) -> None:
        self.loop = Loop()
        self.turns = Turns(self.loop)  # type: ignore[arg-type]  # all that is used of one
        self.seconds = seconds
        self.done: list[str] = []

    def work(self, name: str, pieces: int) -> None:
        self.done.append(name)
        self.turns.spend(self.seconds)
        if pieces > 1:
            self.turns.later(lambda: self.work(name, pieces - 1))

    def turn(self) -> list[str]:
        self.done = []
        self.loop.turn()
        return self.done


def test_a_turn_that_did_little_is_never_over_and_costs_no_callback() -> None:
    crowd = Crowd(WORTH_COUNTING / 2)
    for _ in range(1000):
        crowd.work("ping", 1)
    assert not crowd.turns.over
    assert crowd.loop.soon == []


def test_a_turn_is_over_when_its_time_is_up_and_the_next_begins_anew() -> None:
    crowd = Crowd(TURN_SECONDS / 2)
    crowd.work("ana", 1)
    assert not crowd.turns.over
    crowd.work("ben", 1)
    assert crowd.turns.over
    crowd.turn()
    assert not crowd.turns.over


def test_what_is_left_goes_on_in_turns_to_come_each_client_a_piece_at_a_time() -> None:
    crowd = Crowd(TURN_SECONDS)
    for name in ("ana", "ben", "cem"):
        crowd.turns.later(lambda name=name: crowd.work(name, 2))  # type: ignore[misc]
    turns = [crowd.turn() for _ in range(7)]
    assert turns == [["ana"], ["ben"], ["cem"], ["ana"], ["ben"], ["cem"], []]
    assert not crowd.turns.over
    assert crowd.loop.soon == []


def test_small_pieces_share_a_turn() -> None:
    crowd = Crowd(TURN_SECONDS / 4)
    for name in "abcdef":
        crowd.turns.later(lambda name=name: crowd.work(name, 1))  # type: ignore[misc]
    assert ["".join(crowd.turn()) for _ in range(2)] == ["abcd", "ef"]


def test_whoever_comes_while_others_wait_waits_behind_them() -> None:
    crowd = Crowd(0)
    crowd.turns.later(lambda: crowd.work("ana", 1))
    assert crowd.turns.over


def test_the_others_go_on_when_one_raises() -> None:
    crowd = Crowd(TURN_SECONDS)
    crowd.turns.later(partial(divmod, 1, 0))
    crowd.turns.later(lambda: crowd.work("ben", 1))
    with pytest.raises(ZeroDivisionError):
        crowd.turn()
    assert crowd.turn() == ["ben"]


@in_loop
async def test_coroutines_get_a_turn_each_and_one_that_was_cancelled_does_not_hold_the_others_up() -> None:
    turns = Turns(asyncio.get_running_loop())
    order: list[str] = []

    async def work(name: str) -> None:
        for _ in range(2):
            await turns.another()
            order.append(name)

    tasks = [asyncio.ensure_future(work(name)) for name in "abc"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    done = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert order == ["a", "c", "a", "c"]
    assert [type(each) for each in done] == [type(None), asyncio.CancelledError, type(None)]


@in_loop
async def test_a_slice_is_over_after_its_time_and_counts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("eventhub.server.turns.thread_time", lambda: now[0])
    turns = Turns(asyncio.get_running_loop())
    with Slice(turns) as piece:
        assert not piece.over
        now[0] += SLICE_SECONDS * 1.1
        assert piece.over
    assert turns._spent == pytest.approx(SLICE_SECONDS * 1.1)
    await asyncio.wait_for(piece.another(), 5)
    assert not piece.over
