"""An NDJSON body, read as it arrives: lines are stored in groups. Never more than one line and one received chunk is held.

A body whose length is known is answered after its end, with the status of what became of it. While one of unknown length goes on, the
answer reports progress. The reader of the body never waits for the reader of the answer: progress is cumulative, so what the producer does
not read in time is simply superseded.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Protocol

import orjson
from starlette.types import Receive, Scope, Send

from eventhub.common.concurrency import race, within
from eventhub.common.faults import internal
from eventhub.errors import EventHubError, PayloadTooLarge, ShuttingDown
from eventhub.events.channels import ChannelType
from eventhub.events.event import NewEvent, Receipt
from eventhub.hub.hub import Hub
from eventhub.server.connections.access_log import note
from eventhub.server.connections.identity import ConnectionIdentity
from eventhub.server.connections.limit_errors import too_large
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.connections.turns import TurnShare
from eventhub.server.messages.security_headers import ALWAYS, APPLIED, LIVE, REPLAYED, headers_of
from eventhub.server.publish.handling import (
    DETAILED,
    LOOK,
    LOOK_BYTES,
    Handling,
    retryable,
    status_of,
)
from eventhub.server.streams.outbox import CLOSE_SECONDS
from eventhub.server.streams.response import abort_of

NDJSON_TYPE, PROBLEM_TYPE = b"application/x-ndjson", b"application/problem+json"
GROUP = 200
"""Lines stored together."""
PAUSE = 1.0
"""Seconds between two looks at whether a producer that waits is still welcome."""
KEYED_LINES = 50_000
"""Lines of a stream with an `Idempotency-Key`: half of the keys that are kept. Beyond those a
repetition would store again.
"""
OPEN_SECONDS = 1.0
"""How long the answer to a body of unknown length waits for a line: some producers send none before
they have its status.
"""
DECIDE_SECONDS = 10.0
"""How long it waits for what becomes of the first lines, which may be an error with a status of its
own. Longer than brokers take.
"""
BLANK_LINES = 20
"""So many blank lines cost as much as one event."""


class LineDecoder(Protocol):
    """What turns a line into an event. A group of lines is one publish, and may be traced."""

    channel: str
    kind: ChannelType
    limits: Any
    key: str | None
    headers: Mapping[bytes, bytes]
    handling: Handling

    def event(self, body: bytes, index: int | None = None, *, detailed: bool = True) -> NewEvent:
        """Raises EventHubError."""
        ...

    def begin_trace(self) -> None:
        """Of the group whose events are made next."""
        ...

    async def publish(
        self, hub: Hub, events: Sequence[NewEvent]
    ) -> Sequence[Receipt | EventHubError]:
        """Raises EventHubError."""
        ...

    def end_trace(self, outcomes: Sequence[Receipt | EventHubError]) -> None:
        """What became of the group."""
        ...


class NdjsonPublish:
    """One streaming request."""

    transport = "producer"

    def __init__(
        self, manager: ConnectionManager, request: LineDecoder, identity: ConnectionIdentity
    ) -> None:
        self._manager = manager
        self._identity = identity
        self._request = request
        self._rest = b""
        self._skipping = False  # within a line that is too long
        self._seen = 0  # lines taken from the body
        self._blank = 0  # of those, blank ones that have not been paid for
        self._line = self._accepted = self._rejected = 0  # lines decided: what the answer reports
        self._last: str | None = None
        self._details: list[bytes] = []
        self._wake = asyncio.Event()
        self._begun = asyncio.Event()  # a line has come, or the end
        self._replayed = False
        self._first: tuple[str, str] | None = (
            None  # code and message of the first refusal; the error itself would be kept alive
        )
        self._later: EventHubError | None = (
            None  # of the refusals, one that may be no refusal later
        )
        self._ended = False
        self._over = False
        self._storing = False
        self._leaving: EventHubError | None = None  # once what is being stored is known
        self._error: EventHubError | None = None

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, store, report, until the body ends, the producer leaves or the server stops."""
        self._abort = abort_of(scope)
        note(scope, session=self._identity.id)
        try:
            with self._manager.connection_limits.counted(scope):
                self._manager.opened(self, self._identity)
                await race(self._read(receive), self._report(send))
        finally:
            self._over = True
            self._manager.closed(self)

    @property
    def why(self) -> str:
        """What ended it."""
        return self._error.code if self._error is not None else "done" if self._ended else ""

    @property
    def wholly_refused(self) -> tuple[str, str] | None:
        """The code and the message with which its first line was refused, where no line was stored."""
        return None if self._accepted else self._first

    def buffered(self) -> int:
        """Bytes waiting to be sent."""
        return sum(map(len, self._details))

    def beat(self) -> None:
        """TCP keep-alive finds a producer that has gone."""

    def goodbye(self, error: ShuttingDown) -> None:
        """Report what is stored, and end."""
        self._leave(error)

    def fail(self, error: EventHubError) -> None:
        """Report what is stored, say why, and end, whether the producer reads it or not."""
        self._leave(error)
        asyncio.get_running_loop().call_later(
            CLOSE_SECONDS, self._manager.hub.faults.contain, "ending", self._give_up
        )

    def abort(self) -> None:
        """Cut the request off."""
        self._abort()

    def _leave(self, error: EventHubError) -> None:
        """End: once it is known what became of the lines under way, so that the producer can go on with the next."""
        self._leaving = self._leaving or error
        if not self._storing:
            self._end(self._leaving)

    def _give_up(self) -> None:
        if not self._over:
            self._abort()

    async def _read(self, receive: Receive) -> None:
        while not self._ended:
            try:
                message = await receive()
            except EventHubError as error:  # the rest of the body cannot come
                self._end(error)
                break
            if message["type"] == "http.disconnect":
                return  # what is answered is stored; a line without its end is not
            more = message.get("more_body", False)
            try:
                await self._take_chunk(message["body"], last=not more)
            except EventHubError as error:
                self._end(error)
            except Exception as error:
                self._manager.hub.faults.note("publish", error, session=self._identity.id)
                self._end(internal())
            if not more:
                self._end(None)
            elif self._leaving is not None:
                self._end(self._leaving)
        await asyncio.get_running_loop().create_future()  # the report ends the race

    async def _take_chunk(self, chunk: bytes, *, last: bool) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if last and (
            self._rest or (self._skipping and not lines)
        ):  # a last line without a line break; what is skipped of one may have left no rest
            lines, self._rest = [*lines, self._rest], b""
        if lines:
            self._begun.set()
        charge_for = self._identity.charge_for(self._request.kind)
        group = min(GROUP, charge_for.burst) if charge_for else GROUP
        begin, mine = 0, TurnShare(self._manager.turns)
        while begin < len(lines):
            if self._leaving is not None:
                self._end(self._leaving)
            if self._ended:
                return  # nothing more is taken from whoever was shut out
            events: list[tuple[int, NewEvent]] = []
            self._request.begin_trace()
            some = lines[begin : begin + GROUP]
            room = len(some) if self._request.key is None else KEYED_LINES - self._seen
            taken, decided, rejected = 0, 0, self._rejected
            while taken < min(room, len(some)):
                line = some[taken]
                self._take(line, events)
                taken += 1
                decided = len(events) + self._rejected - rejected
                if decided >= group or (
                    (taken % LOOK == 0 or len(line) > LOOK_BYTES) and mine.over
                ):
                    break
            begin += taken
            due, self._blank = divmod(self._blank + taken - decided, BLANK_LINES)
            try:
                await self._store(events, decided + due)
            except EventHubError as error:
                self._request.end_trace((error,))
                raise
            finally:
                self._request.end_trace(())  # whoever was shut out meanwhile
            if taken == room < len(some):
                raise PayloadTooLarge(
                    f"a stream with an Idempotency-Key has at most {KEYED_LINES} lines; send the rest with another key"
                )
            await mine.another()  # others have theirs
        if len(self._rest) > self._request.limits.event_bytes:
            self._skipping, self._rest = True, b""

    def _take(self, line: bytes, events: list[tuple[int, NewEvent]]) -> None:
        self._seen += 1
        skipping, self._skipping = self._skipping, False
        try:
            if (
                skipping or len(line) > self._request.limits.event_bytes
            ):  # blank ones, too: however it arrives, a line fares the same
                raise too_large(
                    "the line is longer", "event_bytes", self._request.limits.event_bytes
                )
            if not line.isspace() and line:
                event = self._request.event(line, self._seen, detailed=self._rejected < DETAILED)
                events.append((self._seen, event))
        except EventHubError as error:
            self._manager.hub.rejected(self._request.channel, error)
            self._refuse(self._seen, error)

    async def _store(self, events: list[tuple[int, NewEvent]], due: int) -> None:
        """Store these, and pay for so many."""
        if due and (charge_for := self._identity.charge_for(self._request.kind)):
            if charge_for.wait():
                self._manager.hub.delayed("publish_rate")
            while not self._ended and (wait := charge_for.wait()):  # noqa: ASYNC110  # others of this principal may publish meanwhile
                await asyncio.sleep(min(wait, PAUSE))  # which the producer feels as a slow reader
            if self._ended:
                return
            charge_for.pay(due)
        outcomes = await self._publish([event for _, event in events])
        self._request.end_trace(outcomes)
        for (line, _), outcome in zip(events, outcomes, strict=True):
            if isinstance(outcome, EventHubError):
                self._refuse(line, outcome)
            else:
                self._accepted += 1
                self._replayed = self._replayed or outcome.replayed
                self._last = str(outcome.position)
        if self._line != self._seen:
            self._line = self._seen
            self._wake.set()

    async def _publish(self, events: Sequence[NewEvent]) -> Sequence[Receipt | EventHubError]:
        self._storing = True
        try:
            return await self._request.publish(self._manager.hub, events) if events else ()
        finally:
            self._storing = False

    def _refuse(self, line: int, error: EventHubError) -> None:
        self._rejected += 1
        if self._rejected == 1:
            self._first = error.code, error.message
        self._later = self._later or (error if retryable(error) else None)
        if self._rejected <= DETAILED:
            self._details.append(orjson.dumps({"line": line, "error": error.as_dict()}) + b"\n")

    def _end(self, error: EventHubError | None) -> None:
        if not self._ended:
            self._ended, self._error = True, error.detached() if error is not None else None
            self._begun.set()
            self._wake.set()

    async def _report(self, send: Send) -> None:
        whole = b"content-length" in self._request.headers
        await (self._until_ended() if whole else self._until_decided())
        if self._error is not None and not self._line:
            raise self._error  # before anything was decided: the request is refused, as any other
        if whole:
            await self._answer(send)
        else:
            await self._go_on_reporting(send)

    async def _until_ended(self) -> None:
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()

    async def _until_decided(self) -> None:
        with suppress(TimeoutError):
            await within(OPEN_SECONDS, self._begun.wait())
            await within(DECIDE_SECONDS, self._wake.wait())

    async def _answer(self, send: Send) -> None:
        """All at once, with a status: what became of the lines, or why they were not all taken."""
        more = [*APPLIED] if self._request.handling is Handling.LENIENT else []
        if self._replayed:
            more.append(REPLAYED)
        if self._error is not None:
            body, kind, status = self._broken_off(self._error), PROBLEM_TYPE, self._error.status
            more += headers_of(self._error)
        else:
            body, kind = self._result(), NDJSON_TYPE
            status = status_of(
                self._accepted, self._rejected, self._later, self._request.handling, HTTPStatus.OK
            )
            if self._later is not None and status == self._later.status:
                more += headers_of(self._later)
        headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *ALWAYS, *more]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _go_on_reporting(self, send: Send) -> None:
        more = APPLIED if self._request.handling is Handling.LENIENT else ()
        headers = [(b"content-type", NDJSON_TYPE), (b"connection", b"close"), *LIVE, *more]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while not self._ended:
            await self._wake.wait()
            self._wake.clear()
            if not self._ended:
                await send(
                    {"type": "http.response.body", "body": self._progress(), "more_body": True}
                )
        await send({"type": "http.response.body", "body": self._result()})

    def _broken_off(self, error: EventHubError) -> bytes:
        """A problem document that says how far it came, and what was refused until then."""
        refused = [orjson.loads(detail) for detail in self._details]
        more = {"refused": refused} if refused else {}
        return orjson.dumps({**error.as_problem(), "progress": self._counts(), **more})

    def _result(self) -> bytes:
        """The last lines of the answer."""
        outcome: dict[str, Any] = {"done": self._error is None}
        if self._error is not None:
            outcome["error"] = self._error.as_dict()
        return self._progress(**outcome)

    def _progress(self, **more: Any) -> bytes:
        details, self._details = self._details, []
        return b"".join(details) + orjson.dumps(self._counts() | more) + b"\n"

    def _counts(self) -> dict[str, Any]:
        return {
            "line": self._line,
            "accepted": self._accepted,
            "rejected": self._rejected,
            "id": self._last,
        }
