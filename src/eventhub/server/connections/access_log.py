"""The access log: one line for each request, or for a share of them.

Successful health probes have none. A query string is never logged, since it may hold a token.
"""

import logging
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from json.encoder import encode_basestring_ascii as quoted

import structlog
from starlette.types import Message, Scope, Send

from eventhub.config.sections import LogSettings
from eventhub.observability.log_setup import json_lines, printable
from eventhub.server.security.authentication import address_of

KNOWN = "eventhub.access"
"""Scope key of the additional fields of its line."""
FAULT = 500
"""From this status on, responses are always logged: they are faults of the server."""
PROBES = frozenset({"/livez", "/readyz", "/metrics"})
"""Machines request these about every second. Their 200 responses would fill the log."""
STATUSES = {"websocket.accept": 101, "websocket.close": 403}
"""Status by message type, for responses whose message has none."""

_LOGGER = "eventhub.access"
log = structlog.get_logger(_LOGGER)
_levels = logging.getLogger(_LOGGER)


class AccessLog:
    """Writes lines as the settings say. `chance` returns numbers from 0 to 1."""

    def __init__(self, settings: LogSettings, chance: Callable[[], float] = random.random) -> None:
        self.on = settings.access
        self._share = settings.access_share
        self._chance = chance

    def write(self, method: str, path: str, status: int, client: str, **known: str | None) -> None:
        """Write a line if this request gets one. Control characters of the path are escaped."""
        if (
            not self.on
            or (status == HTTPStatus.OK and path in PROBES)
            or (status < FAULT and self._chance() >= self._share)
        ):
            return
        fields = {name: value for name, value in known.items() if value is not None}
        with suppress(Exception):  # a request is served even if it cannot be logged
            if (lines := json_lines()) is None:
                values = {"method": method, "path": printable(path), "status": status}
                log.info("request", **values, client=client, **fields)
            elif _levels.isEnabledFor(logging.INFO):
                lines.add(_members(method, printable(path), status, client, fields), _LOGGER)

    def watch(self, scope: Scope, send: Send) -> Send:
        """Return a `send` that writes the line when the response begins."""
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


def _members(method: str, path: str, status: int, client: str, fields: Mapping[str, str]) -> str:
    """The members as structlog would write them."""
    more = "".join([f', "{name}": {quoted(value)}' for name, value in fields.items()])
    return (
        f'"method": {quoted(method)}, "path": {quoted(path)}, "status": {status:d}, '
        f'"client": {quoted(client)}{more}, "event": "request"'
    )


def note(scope: Scope, **known: str | None) -> None:
    """Add fields to the line of this request. Call it before the response begins."""
    if (line := scope.get(KNOWN)) is not None:
        line.update(known)
