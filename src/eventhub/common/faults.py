"""Unforeseen faults: each is logged with its traceback, counted, and contained where it occurs."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from eventhub.errors import Internal

QUIET_SECONDS = 1.0
"""Time between two log lines of faults at one place. Without it, a client could fill the log by
repeating one fault.
"""

log = structlog.get_logger("eventhub.faults")


def internal() -> Internal:
    """The error that reports a fault. Made for each report, because raising adds a traceback."""
    return Internal("a fault of the server; its log says more")


class Faults:
    """The faults of this process. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.counts = Counter[str]()
        """By place."""
        self._clock = clock
        self._quiet_until: dict[str, float] = {}  # by place
        self._not_logged = Counter[str]()

    def note(self, where: str, error: BaseException, **fields: object) -> None:
        """Count a fault and log it. Raises nothing, even if the log or the error's text fails."""
        with suppress(Exception):
            self.counts[where] += 1
            self._log(where, "fault", error, fields)

    def model_failed(self, channel: str, error: BaseException) -> None:
        """Log that a channel type's own model raised an unexpected error.

        The fault is the model's, so it is not counted as one of the server.
        """
        with suppress(Exception):
            kind = channel.partition(".")[0]
            self._log(f"model {kind}", "model_failed", error, {"type": kind, "channel": channel})

    def contain(self, where: str, work: Callable[[], None]) -> None:
        """Call `work`, whose faults must not end the caller."""
        try:
            work()
        except Exception as error:
            self.note(where, error)

    async def contained(
        self, where: str, work: Coroutine[Any, Any, None], failed: Callable[[Internal], None]
    ) -> None:
        """Await `work` and report a fault to `failed`.

        SystemExit, which a library may raise, and panics of native code are faults, too.
        """
        try:
            await work
        except (asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.note(where, error)
            self.contain(where, lambda: failed(internal()))

    async def kept(self, where: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work`, which serves all connections. After a fault, start it again."""
        while True:
            try:
                return await work()
            except Exception as error:
                self.note(where, error)
            await asyncio.sleep(QUIET_SECONDS)

    def of_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """The loop's exception handler: an error of a callback is a fault.

        The loop itself logs everything else, such as a failed TLS handshake.
        """
        error = context.get("exception")
        if isinstance(error, Exception) and "handle" in context:
            self.note("loop", error)
        else:
            loop.default_exception_handler(context)

    def _log(self, where: str, event: str, error: BaseException, fields: dict[str, Any]) -> None:
        now = self._clock()
        if now < self._quiet_until.get(where, now):
            self._not_logged[where] += 1
            return
        self._quiet_until[where] = now + QUIET_SECONDS
        if not_logged := self._not_logged.pop(where, 0):
            fields = {**fields, "not_logged": not_logged}
        if event == "fault":
            fields = {**fields, "where": where}
        log.error(event, exc_info=error, **fields)
