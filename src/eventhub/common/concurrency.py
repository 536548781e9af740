"""Coroutines against each other, and against the clock."""

import asyncio
from collections.abc import Awaitable, Coroutine, Generator
from inspect import iscoroutine
from types import coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


async def race(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, cancel the others and wait for them. The first exception is raised."""
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
    """The result of `work`. Raises TimeoutError. What needs not wait for anything costs no timer."""
    if not iscoroutine(work):
        async with asyncio.timeout(seconds):
            return await work
    try:
        waits = work.send(None)
    except StopIteration as done:
        result: Result = done.value
        return result
    async with asyncio.timeout(seconds):
        return await _rest(work, waits)


@coroutine
def _rest(work: Coroutine[Any, Any, Result], waits: Any) -> Generator[Any, Any, Result]:
    """The rest of a coroutine that has taken its first step, and waits."""
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
