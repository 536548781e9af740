"""The access log: one line for each request but probes, or for a share of them. Without its query: a token may be in it."""

import random
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

import structlog
from starlette.types import Message, Scope, Send

from eventhub.config.sections import LogSettings
from eventhub.observability.log_setup import printable
from eventhub.server.security.authentication import address_of

KNOWN = "eventhub.access"
"""Where a scope keeps what its line shall say besides."""
FAULT = 500
"""From this status on a line is written, whatever the share: a fault of ours."""
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
"""Asked by machines every second or so. Without a line where the answer is 200: they would be most
of the log.
"""
STATUSES = {"websocket.accept": 101, "websocket.close": 403}
"""By the message that is the answer, where it has no status."""

log = structlog.get_logger("eventhub.access")


class AccessLog:
    """Writes lines as the settings say. `chance` gives numbers from 0 to 1."""

    def __init__(self, settings: LogSettings, chance: Callable[[], float] = random.random) -> None:
        self.on = settings.access
        self._share = settings.access_share
        self._chance = chance

    def write(self, method: str, path: str, status: int, client: str, **known: str | None) -> None:
        """A line, if this request is among those that have one. What would move a terminal's cursor is escaped."""
        if (
            not self.on
            or (status == HTTPStatus.OK and path in PROBES)
            or (status < FAULT and self._chance() >= self._share)
        ):
            return
        said = {name: value for name, value in known.items() if value is not None}
        with suppress(Exception):  # nobody is served less because it cannot be logged
            log.info(
                "request", method=method, path=printable(path), status=status, client=client, **said
            )

    def watch(self, scope: Scope, send: Send) -> Send:
        """Write the line when the answer begins."""
        answered = False
        known: dict[str, str | None] = {}
        scope[KNOWN] = known

        async def watched(message: Message) -> None:
            nonlocal answered
            if not answered and (status := message.get("status") or STATUSES.get(message["type"])):
                answered = True
                self.write(
                    scope.get("method", "GET"), scope["path"], status, address_of(scope), **known
                )
            await send(message)

        return watched


def note(scope: Scope, **known: str | None) -> None:
    """What the line of this request shall say: `session`, `trace_id`. Its answer must not have begun."""
    if (line := scope.get(KNOWN)) is not None:
        line.update(known)
