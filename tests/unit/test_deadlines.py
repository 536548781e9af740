"""server/deadlines.py: what is due when."""

from functools import partial

from hypothesis import given
from hypothesis import strategies as st

from eventhub.server.deadlines import SPARE, Deadlines


def noting(deadlines: Deadlines, done: list[str], name: str, second: int) -> None:
    deadlines.set(name, second, lambda: done.append(name))


def test_what_is_due_is_done_once_in_the_order_of_time() -> None:
    deadlines, done = Deadlines(), list[str]()
    for name, second in (("c", 3), ("a", 1), ("b", 2), ("d", 4)):
        noting(deadlines, done, name, second)
    deadlines.reach(0)
    assert done == []
    deadlines.reach(3)
    deadlines.reach(3)
    assert (done, len(deadlines)) == (["a", "b", "c"], 1)


def test_a_key_has_one_deadline() -> None:
    deadlines, done = Deadlines(), list[str]()
    noting(deadlines, done, "a", 1)
    noting(deadlines, done, "a", 5)
    deadlines.reach(4)
    assert done == []
    noting(deadlines, done, "a", 2)
    deadlines.reach(9)
    assert done == ["a"]


def test_what_was_cleared_is_not_done() -> None:
    deadlines, done = Deadlines(), list[str]()
    noting(deadlines, done, "a", 1)
    deadlines.clear("a")
    deadlines.clear("a")
    deadlines.clear("never there")
    deadlines.reach(9)
    assert (done, len(deadlines)) == ([], 0)


def test_what_is_done_may_clear_others_of_its_second() -> None:
    deadlines, done = Deadlines(), list[str]()

    def alone(name: str, other: str) -> None:
        done.append(name)
        deadlines.clear(other)

    deadlines.set("a", 1, partial(alone, "a", "b"))
    deadlines.set("b", 1, partial(alone, "b", "a"))
    deadlines.reach(1)
    assert len(done) == 1
    assert len(deadlines) == 0


def test_what_is_done_may_set_again_for_now_and_for_later() -> None:
    deadlines, done = Deadlines(), list[str]()

    def first() -> None:
        noting(deadlines, done, "a", 1)
        noting(deadlines, done, "b", 0)
        noting(deadlines, done, "c", 7)

    deadlines.set("a", 1, first)
    deadlines.reach(1)
    assert sorted(done) == ["a", "b"]
    deadlines.reach(7)
    assert done[-1] == "c"


def test_seconds_at_which_nothing_is_done_any_more_are_not_kept() -> None:
    deadlines = Deadlines()
    for number in range(20 * SPARE):  # tokens for years, each held for a moment
        deadlines.set("a", 10_000_000 + number, lambda: None)
    assert len(deadlines._acts) == 1
    assert len(deadlines._seconds) <= SPARE + 3


@given(st.lists(st.tuples(st.sampled_from(["set", "clear", "reach"]), st.integers(0, 3), st.integers(0, 12)), max_size=60))
def test_it_is_as_a_list_that_is_searched(steps: list[tuple[str, int, int]]) -> None:
    deadlines, done, expected = Deadlines(), list[str](), list[str]()
    model: dict[str, int] = {}
    now = 0
    for step, number, second in steps:
        name = str(number)
        if step == "set":
            noting(deadlines, done, name, second)
            model[name] = second
        elif step == "clear":
            deadlines.clear(name)
            model.pop(name, None)
        else:
            now = max(now, second)
            deadlines.reach(now)
            due = [key for key, at in model.items() if at <= now]
            expected += due
            for key in due:
                del model[key]
            assert sorted(done) == sorted(expected)
        assert len(deadlines) == len(model)
