"""tests/harness/eventually.py: it gives what it sees, is bounded, and says what it saw."""

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.harness.eventually import async_eventually, eventually, in_turns


def looking(*seen: Any) -> Callable[[], Any]:
    """Looks that see these, the last one for ever; errors are raised."""
    values = itertools.chain(seen, itertools.repeat(seen[-1]))

    def look() -> Any:
        value = next(values)
        if isinstance(value, Exception):
            raise value
        return value

    return look


def waits(what: str, look: Callable[[], Any], **options: Any) -> list[Callable[[], Any]]:
    """The same wait in both forms."""
    return [
        lambda: eventually(what, look, **options),
        lambda: asyncio.run(async_eventually(what, look, **options)),
    ]


@pytest.mark.parametrize("form", [0, 1])
def test_what_holds_is_given(form: int) -> None:
    assert waits("a value", looking(0, [], "here"))[form]() == "here"
    assert waits("three", looking(1, 2, 3), holds=lambda seen: seen == 3)[form]() == 3


@pytest.mark.parametrize("form", [0, 1])
def test_after_its_time_it_says_what_it_waited_for_and_what_it_saw(form: int) -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.01 s for two of them; seen last: \[1\]"):
        waits("two of them", looking([1]), holds=lambda seen: len(seen) == 2, seconds=0.01)[form]()


@pytest.mark.parametrize("form", [0, 1])
def test_a_last_look_is_taken_however_late_it_is(form: int) -> None:
    look = looking(0, "late")

    def slow() -> Any:
        time.sleep(0.02)  # as a machine that stands still
        return look()

    assert waits("a value", slow, seconds=0.01)[form]() == "late"


@pytest.mark.parametrize("form", [0, 1])
def test_errors_that_are_expected_mean_not_yet_and_others_end_it(form: int) -> None:
    expected = (ConnectionError,)
    look = looking(ConnectionRefusedError("nobody listens"), "up")
    assert waits("a server", look, not_yet=expected)[form]() == "up"
    with pytest.raises(AssertionError, match="seen last: ConnectionRefusedError"):
        waits(
            "a server",
            looking(ConnectionRefusedError("nobody listens")),
            not_yet=expected,
            seconds=0.01,
        )[form]()
    with pytest.raises(AssertionError, match="the process has ended"):
        waits("a server", looking(AssertionError("the process has ended")), not_yet=expected)[
            form
        ]()


def test_turns_of_the_loop_are_given_to_others_and_counted() -> None:
    async def main() -> None:
        done: list[int] = []

        async def work() -> None:
            for number in range(5):
                await asyncio.sleep(0)
                done.append(number)

        task = asyncio.create_task(work())
        assert await in_turns("all five", lambda: done, lambda seen: len(seen) == 5) is done
        await task
        with pytest.raises(AssertionError, match="waited 3 turns of the loop for a sixth"):
            await in_turns("a sixth", lambda: done, lambda seen: len(seen) == 6, turns=3)

    asyncio.run(main())
