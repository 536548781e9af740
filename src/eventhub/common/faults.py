"""Faults that nobody foresaw. Each is logged with its traceback, counted, and ends no more than what it came up in."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from eventhub.errors import Internal

QUIET_SECONDS = 1.0
"""Between two lines of faults at one place: a client that causes them again and again must not fill
the log.
"""

log = structlog.get_logger("eventhub.faults")


def internal() -> Internal:
    """What whoever is concerned is told of a fault. An error of its own for each: a traceback is added to what is raised."""
    return Internal("a fault of the server; its log says more")


class Faults:
    """Those of this process. `clock` gives seconds that never go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = Counter[str]()
        """By place."""
        self._clock = clock
        self._quiet: dict[str, float] = {}  # by place: until when no line is written
        self._unsaid = Counter[str]()

    def note(self, where: str, error: BaseException, **fields: object) -> None:
        """Count a fault and log it. Raises nothing, whatever is wrong with the log or with the error's own text."""
        with suppress(Exception):
            self.counts[where] += 1
            self._say(where, "fault", error, fields)

    def model_failed(self, channel: str, error: BaseException) -> None:
        """Log that a channel type's own model raised what no model should: it is its author's fault, and not counted as ours."""
        with suppress(Exception):
            kind = channel.partition(".")[0]
            self._say(f"model {kind}", "model_failed", error, {"type": kind, "channel": channel})

    def contain(self, where: str, work: Callable[[], None]) -> None:
        """Do what must not end its caller."""
        try:
            work()
        except Exception as error:
            self.note(where, error)

    async def contained(
        self, where: str, work: Coroutine[Any, Any, None], failed: Callable[[Internal], None]
    ) -> None:
        """Do it. `failed` is told of a fault; SystemExit, which a library may raise, and panics of native code are faults as well."""
        try:
            await work
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.note(where, error)
            self.contain(where, lambda: failed(internal()))

    async def kept(self, where: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do what serves all connections and must not end with one of them: after a fault, begin it again a moment later."""
        while True:
            try:
                return await work()
            except Exception as error:
                self.note(where, error)
            await asyncio.sleep(QUIET_SECONDS)

    def of_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The loop's exception handler: what a callback raises is a fault. The rest, as of a TLS handshake, the loop logs as ever."""
        error = context.get("exception")
        if isinstance(error, Exception) and "handle" in context:
            self.note("loop", error)
        else:
            loop.default_exception_handler(context)

    def _say(self, where: str, event: str, error: BaseException, fields: dict[str, Any]) -> None:
        now = self._clock()
        if now < self._quiet.get(where, now):
            self._unsaid[where] += 1
            return
        self._quiet[where] = now + QUIET_SECONDS
        if unsaid := self._unsaid.pop(where, 0):
            fields = {**fields, "not_logged": unsaid}
        if event == "fault":
            fields = {**fields, "where": where}
        log.error(event, exc_info=error, **fields)
