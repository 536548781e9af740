"""The response to an NDJSON stream: which lines were stored or refused.

A body of known length is answered at its end, with a status. While a body of unknown length goes
on, the response reports progress. Progress is cumulative, so a report that the producer has not
read in time is replaced by the next one.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import orjson
from starlette.types import Send

from eventhub.common.concurrency import within
from eventhub.errors import EventHubError
from eventhub.events.event import Position, Receipt, Receipts
from eventhub.server.messages.problem import send_problem
from eventhub.server.messages.security_headers import ALWAYS, APPLIED, LIVE, REPLAYED, headers_of
from eventhub.server.publish.handling import DETAILED_REFUSALS, Handling, retryable, status_of

NDJSON_TYPE = b"application/x-ndjson"
FIRST_LINE_SECONDS = 1.0
"""How long the response to a body of unknown length waits for the first line. Some producers send
none before they have the status.
"""
FIRST_RESULT_SECONDS = 10.0
"""How long it then waits for the first lines to be stored or refused: an error has a status of its
own. Brokers take less.
"""


class NdjsonResponse:
    """Counts the lines that are decided, and sends the counts."""

    def __init__(self, handling: Handling) -> None:
        self._handling = handling
        self._line = 0  # the last line that is decided
        self.accepted = 0
        self.rejected = 0
        self._last: Position | None = None  # of the last event that was stored
        self._refusals: list[bytes] = []  # encoded, and not sent yet
        self._replayed = False
        self.first_refusal: tuple[str, str] | None = None
        """Code and message. The error itself would keep its frames alive."""
        self._retryable: EventHubError | None = None
        """The first refusal after which the event may be sent again."""
        self.ended = False
        self.error: EventHubError | None = None
        """What ended the stream; None if its body was complete."""
        self._first_line = asyncio.Event()
        self._progress_made = asyncio.Event()

    def line_arrived(self) -> None:
        """The body has begun."""
        self._first_line.set()

    def refuse(self, line: int, error: EventHubError) -> None:
        """Count a refused line."""
        self.rejected += 1
        if self.rejected == 1:
            self.first_refusal = error.code, error.message
        if self._retryable is None and retryable(error):
            self._retryable = error
        if self.rejected <= DETAILED_REFUSALS:
            self._refusals.append(orjson.dumps({"line": line, "error": error.as_dict()}) + b"\n")

    def record(
        self, lines: Sequence[int], outcomes: Receipts | Sequence[Receipt | EventHubError]
    ) -> None:
        """Count the outcomes of the events of these lines."""
        if isinstance(outcomes, Receipts):
            self.accepted += outcomes.number
            self._last = Position(outcomes.epoch, outcomes.first + outcomes.number - 1)
            return
        for line, outcome in zip(lines, outcomes, strict=True):
            if isinstance(outcome, EventHubError):
                self.refuse(line, outcome)
            else:
                self.accepted += 1
                self._replayed = self._replayed or outcome.replayed
                self._last = outcome.position

    def report(self, line: int) -> None:
        """All lines up to this one are decided."""
        if self._line != line:
            self._line = line
            self._progress_made.set()

    def end(self, error: EventHubError | None) -> None:
        """The stream ends here. Only the first call counts."""
        if not self.ended:
            self.ended, self.error = True, error.without_traceback() if error is not None else None
            self._first_line.set()
            self._progress_made.set()

    def buffered(self) -> int:
        """Bytes waiting to be sent."""
        return sum(map(len, self._refusals))

    async def send(self, send: Send, *, at_end: bool) -> None:
        """Send the response: `at_end` of the body, or from its first lines on.

        Raises the error that ended the stream if no line was decided before it.
        """
        await (self._until_ended() if at_end else self._until_first_result())
        if self.error is not None and not self._line:
            raise self.error
        await (self._send_summary(send) if at_end else self._send_progress(send))

    async def _until_ended(self) -> None:
        while not self.ended:
            await self._progress_made.wait()
            self._progress_made.clear()

    async def _until_first_result(self) -> None:
        with suppress(TimeoutError):
            await within(FIRST_LINE_SECONDS, self._first_line.wait())
            await within(FIRST_RESULT_SECONDS, self._progress_made.wait())

    async def _send_summary(self, send: Send) -> None:
        """A complete response with a status."""
        headers = [*APPLIED] if self._handling is Handling.LENIENT else []
        if self._replayed:
            headers.append(REPLAYED)
        if self.error is not None:
            return await send_problem(send, self.error, self._extensions(), headers)
        status = status_of(
            self.accepted, self.rejected, self._retryable, self._handling, HTTPStatus.OK
        )
        if self._retryable is not None and status == self._retryable.status:
            headers += headers_of(self._retryable)
        body = self._take_result()
        all_headers = [
            (b"content-type", NDJSON_TYPE),
            (b"content-length", b"%d" % len(body)),
            *ALWAYS,
            *headers,
        ]
        await send({"type": "http.response.start", "status": status, "headers": all_headers})
        await send({"type": "http.response.body", "body": body})

    async def _send_progress(self, send: Send) -> None:
        """Status 200, a report whenever lines are decided, and the result."""
        applied = APPLIED if self._handling is Handling.LENIENT else ()
        headers = [(b"content-type", NDJSON_TYPE), (b"connection", b"close"), *LIVE, *applied]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while not self.ended:
            await self._progress_made.wait()
            self._progress_made.clear()
            if not self.ended:
                report = self._take_report()
                await send({"type": "http.response.body", "body": report, "more_body": True})
        await send({"type": "http.response.body", "body": self._take_result()})

    def _extensions(self) -> dict[str, Any]:
        """The members of a problem document about lines: the progress, and the refusals."""
        refused = [orjson.loads(refusal) for refusal in self._refusals]
        return {"progress": self._counts()} | ({"refused": refused} if refused else {})

    def _take_result(self) -> bytes:
        """The last refusals, then the counts and how the stream ended."""
        outcome: dict[str, Any] = {"done": self.error is None}
        if self.error is not None:
            outcome["error"] = self.error.as_dict()
        return self._take_report(**outcome)

    def _take_report(self, **more: Any) -> bytes:
        """The refusals since the last report, then the counts."""
        refusals, self._refusals = self._refusals, []
        return b"".join(refusals) + orjson.dumps(self._counts() | more) + b"\n"

    def _counts(self) -> dict[str, Any]:
        return {
            "line": self._line,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "id": None if self._last is None else str(self._last),
        }
