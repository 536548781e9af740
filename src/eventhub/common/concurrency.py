"""Running coroutines until the first one ends, or until a time limit."""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from inspect import iscoroutine
from types import coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def race(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, then cancel the others and wait for them.

    Raises the first exception.
    """
    tasks = [asyncio.create_task(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def within(seconds: float, work: Awaitable[Result]) -> Result:
    """The result of `work`. Raises TimeoutError.

    `asyncio.timeout` costs 15 times as much for a coroutine that returns without waiting, as most
    reads of a request's body do. So the first step runs here, and only a coroutine that waits gets
    a timer.
    """
    if not iscoroutine(work):
        async with asyncio.timeout(seconds):
            return await work
    try:
        waits = work.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    async with asyncio.timeout(seconds):
        return await _resume(work, waits)


@coroutine
def _resume(work: Coroutine[Any, Any, Result], waits: Any) -> Generator[Any, Any, Result]:
    """Run the rest of a coroutine whose first step yielded `waits`."""
    try:
        while True:
            try:
                sent = yield waits
            except BaseException as error:  # a cancellation, above all
                waits = work.throw(error)
            else:
                waits = work.send(sent)
    except StopIteration as done:
        result: Result = done.value
        return result
