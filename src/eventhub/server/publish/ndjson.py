"""Publishing a stream of NDJSON lines: the body is read as it arrives, and stored in groups.

At most one line and one received chunk is held. Reading the body never waits for the producer to
read the response (ndjson_response.py).
"""

import asyncio
from collections.abc import Sequence

from starlette.types import Receive, Scope, Send

from eventhub.common.concurrency import race
from eventhub.common.faults import internal
from eventhub.errors import EventHubError, PayloadTooLarge, ShuttingDown
from eventhub.events.event import NewEvent, NewEvents, Receipt, Receipts
from eventhub.server.connections.access_log import note
from eventhub.server.connections.fair_queue import TimeSlice
from eventhub.server.connections.identity import ConnectionIdentity
from eventhub.server.connections.limit_errors import too_large
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.publish.batch import PART_BYTES, PART_COMMAS
from eventhub.server.publish.handling import CHECK_BYTES, CHECK_ITEMS, DETAILED_REFUSALS
from eventhub.server.publish.lines import LineSplitter
from eventhub.server.publish.ndjson_response import NdjsonResponse
from eventhub.server.publish.request import PublishRequest
from eventhub.server.streams.outbox import CLOSE_SECONDS
from eventhub.server.streams.response import abort_of

LINES_PER_GROUP = 200
"""Lines that are stored together."""
PAUSE_SECONDS = 1.0
"""How often a producer that waits for its rate is checked: it may have been disconnected."""
KEYED_LINES = 50_000
"""The most lines of a stream with an Idempotency-Key: half of the keys that a broker keeps. With
more, a repetition could store its first lines again.
"""
BLANK_LINES = 20
"""This many blank lines are charged as one event."""


class NdjsonPublish:
    """One streaming request, which the server counts among its open connections."""

    transport = "producer"

    def __init__(
        self, manager: ConnectionManager, request: PublishRequest, identity: ConnectionIdentity
    ) -> None:
        self._manager = manager
        self._request = request
        self._identity = identity
        self._response = NdjsonResponse(request.handling)
        self._splitter = LineSplitter(request.limits.event_bytes)
        self._lines_read = 0
        self._apart_until = 0  # lines up to this one are decoded one by one
        self._blank_lines = 0  # of these, blank ones that are not charged yet
        self._storing = False
        self._pending_end: EventHubError | None = None  # ends the stream once a group is stored
        self._finished = False

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, store, respond, until the body ends, the producer leaves or the server stops."""
        self._abort = abort_of(scope)
        note(scope, session=self._identity.id)
        known_length = b"content-length" in self._request.headers
        try:
            with self._manager.connection_limits.counted(scope):
                self._manager.opened(self, self._identity)
                await race(self._read(receive), self._response.send(send, at_end=known_length))
        finally:
            self._finished = True
            self._manager.closed(self)

    @property
    def end_reason(self) -> str:
        """What ended the stream."""
        if self._response.error is not None:
            return self._response.error.code
        return "done" if self._response.ended else ""

    @property
    def body_error(self) -> tuple[str, str] | None:
        """Code and message of the first refused line, if no line was stored."""
        return None if self._response.accepted else self._response.first_refusal

    def buffered(self) -> int:
        """Bytes waiting to be sent."""
        return self._response.buffered()

    def heartbeat(self) -> None:
        """Does nothing: TCP keep-alive finds a producer that has gone."""

    def goodbye(self, error: ShuttingDown) -> None:
        """End the stream, and report what is stored."""
        self._end_after_group(error)

    def fail(self, error: EventHubError) -> None:
        """End the stream with an error; cut it off if the producer does not read the response."""
        self._end_after_group(error)
        asyncio.get_running_loop().call_later(
            CLOSE_SECONDS, self._manager.hub.faults.contain, "ending", self._abort_unfinished
        )

    def abort(self) -> None:
        """Cut the request off."""
        self._abort()

    def _end_after_group(self, error: EventHubError) -> None:
        """End once the group under way is decided. The producer continues after it."""
        self._pending_end = self._pending_end or error
        if not self._storing:
            self._response.end(self._pending_end)

    def _abort_unfinished(self) -> None:
        if not self._finished:
            self._abort()

    async def _read(self, receive: Receive) -> None:
        while not self._response.ended:
            try:
                message = await receive()
            except EventHubError as error:  # the rest of the body cannot arrive
                self._response.end(error)
                break
            if message["type"] == "http.disconnect":
                return  # the lines that were reported are stored; an unfinished line is not
            last = not message.get("more_body", False)
            try:
                await self._take_chunk(message["body"], last=last)
            except EventHubError as error:
                self._response.end(error)
            except Exception as error:
                self._manager.hub.faults.note("publish", error, session=self._identity.id)
                self._response.end(internal())
            if last:
                self._response.end(None)
            elif self._pending_end is not None:
                self._response.end(self._pending_end)
        await asyncio.get_running_loop().create_future()  # sending the response ends the race

    async def _take_chunk(self, chunk: bytes, *, last: bool) -> None:
        """Decode and store the lines that the chunk ends, group by group."""
        lines = self._splitter.split(chunk, last=last)
        if lines:
            self._response.line_arrived()
        charge = self._identity.charge_for(self._request.channel_type)
        size = min(LINES_PER_GROUP, charge.burst) if charge else LINES_PER_GROUP
        begin, share = 0, TimeSlice(self._manager.fair_queue)
        while begin < len(lines):
            if self._pending_end is not None:
                self._response.end(self._pending_end)
            if self._response.ended:
                return  # a producer that was disconnected stores nothing more
            begin += await self._take_group(lines[begin : begin + LINES_PER_GROUP], size, share)
            await share.next_turn()

    async def _take_group(self, lines: list[bytes | None], size: int, share: TimeSlice) -> int:
        """Store at most `size` events of these lines together. Return how many lines were taken."""
        request = self._request
        request.begin_trace()
        try:
            if (events := self._decode_together(lines, size)) is None:
                if request.key is None:
                    lines = lines[: self._apart_until - self._lines_read]
                return await self._take_apart(lines, size, share)
            taken = len(events.data)
            await self._store(
                range(self._lines_read - taken + 1, self._lines_read + 1), events, taken
            )
            return taken
        except EventHubError as error:
            request.end_trace((error,))
            raise
        finally:
            request.end_trace(())  # the producer may have been disconnected before it stored

    def _decode_together(self, lines: Sequence[bytes | None], size: int) -> NewEvents | None:
        """At most `size` events of the first of these lines. None if one needs a closer look."""
        request = self._request
        if request.key is not None or self._lines_read < self._apart_until:
            return None
        first = lines[:size]
        group = [line for line in first if line]
        if len(group) == len(first):
            while sum(map(len, group)) > PART_BYTES or b"".join(group).count(b",") > PART_COMMAS:
                del group[len(group) // 2 :]
            plain = group and request.channel_type.key is None  # keys are of each event
            data = request.decoder.canonical_each(group) if plain else None
            if data is not None:
                self._lines_read += len(group)
                attributes = request.decoder.attributes
                return NewEvents(request.channel, data, self._manager.hub.now(), attributes)
        self._apart_until = self._lines_read + len(lines)
        return None

    async def _take_apart(self, lines: list[bytes | None], size: int, share: TimeSlice) -> int:
        """As `_take_group`, for lines that need a closer look."""
        most = len(lines)
        if self._request.key is not None:
            most = min(most, KEYED_LINES - self._lines_read)
        events, numbers = list[NewEvent](), list[int]()
        taken, decided, rejected = 0, 0, self._response.rejected
        while taken < most:
            line = lines[taken]
            if (event := self._decode(line)) is not None:
                events.append(event)
                numbers.append(self._lines_read)
            taken += 1
            decided = len(events) + self._response.rejected - rejected
            if decided >= size or (
                (taken % CHECK_ITEMS == 0 or line is None or len(line) > CHECK_BYTES) and share.over
            ):
                break
        due, self._blank_lines = divmod(self._blank_lines + taken - decided, BLANK_LINES)
        await self._store(numbers, events, decided + due)
        if taken == most < len(lines):
            raise PayloadTooLarge(
                f"a stream with an Idempotency-Key has at most {KEYED_LINES} lines; send the rest"
                " with another key"
            )
        return taken

    def _decode(self, line: bytes | None) -> NewEvent | None:
        """The line's event; None if it is blank or refused."""
        self._lines_read += 1
        limit = self._request.limits.event_bytes
        try:
            if line is None or len(line) > limit:  # blank or not: the splitter may have dropped it
                raise too_large("the line is longer", "event_bytes", limit)
            if not line or line.isspace():
                return None
            detailed = self._response.rejected < DETAILED_REFUSALS
            return self._request.decoder.decode(line, self._lines_read, detailed=detailed)
        except EventHubError as error:
            received = self._request.received(line or b"", cut=line is None)
            self._manager.hub.rejected(self._request.channel, error, received)
            self._response.refuse(self._lines_read, error)
            return None

    async def _store(
        self, lines: Sequence[int], events: Sequence[NewEvent] | NewEvents, due: int
    ) -> None:
        """Charge for `due` events, then store these. Returns early if the stream has ended.

        `lines` has the number of each event's line.
        """
        if due and not await self._pay(due):
            return
        self._storing = True
        try:
            outcomes = await self._publish(events)
        finally:
            self._storing = False
        if not isinstance(outcomes, Receipts):
            self._request.end_trace(outcomes)
        self._response.record(lines, outcomes)
        self._response.report(self._lines_read)

    async def _publish(
        self, events: Sequence[NewEvent] | NewEvents
    ) -> Receipts | Sequence[Receipt | EventHubError]:
        hub = self._manager.hub
        if isinstance(events, NewEvents):
            if hub.publishes_now and not self._request.is_traced:
                return hub.publish_all_now(events)
            events = events.apart()
        return await self._request.publish(hub, events) if events else ()

    async def _pay(self, due: int) -> bool:
        """Wait until the rate allows these events. False if the stream has ended meanwhile."""
        if (charge := self._identity.charge_for(self._request.channel_type)) is None:
            return True
        if charge.wait():
            self._manager.hub.delayed("publish_rate")
        # The wait may grow again: other connections of this principal publish meanwhile. The
        # producer notices it as a slow reader.
        while not self._response.ended and (wait := charge.wait()):  # noqa: ASYNC110  # see above
            await asyncio.sleep(min(wait, PAUSE_SECONDS))
        if self._response.ended:
            return False
        charge.pay(due)
        return True
