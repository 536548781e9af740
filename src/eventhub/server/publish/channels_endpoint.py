"""POST /v1/events: events of several channels in one request. A plain ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from io import BytesIO
from typing import Any, NamedTuple

import orjson
from starlette.types import Receive, Scope, Send

from eventhub.auth.principal import Principal
from eventhub.common.strict_json import parse
from eventhub.config.limit_settings import LimitSettings
from eventhub.errors import EventHubError, InvalidJson, PayloadTooLarge, ShuttingDown
from eventhub.events.arrays import pieces
from eventhub.events.event import NewEvent, Receipt, format_time
from eventhub.events.signal import Signal
from eventhub.server.connections.fair_queue import TimeSlice
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.problem import send_problem
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.messages.security_headers import APPLIED, REPLAYED, headers_of
from eventhub.server.publish.batch import (
    PART_BYTES,
    PART_COMMAS,
    WHITE_SPACE,
    parse_items,
    size_error,
)
from eventhub.server.publish.body import read_body
from eventhub.server.publish.channel_items import ChannelItemDecoder
from eventhub.server.publish.endpoint import EVENTS_PER_GROUP
from eventhub.server.publish.handling import (
    CHECK_ITEMS,
    DETAILED_REFUSALS,
    PARAMETER,
    Handling,
    handling_of,
    parameters_of,
    retryable,
    status_of,
)
from eventhub.server.publish.headers import (
    NDJSON_TYPES,
    attributes_of,
    check_body_type,
    check_no_precondition,
    idempotency_key_of,
    media_type_of,
    prefer_of,
)
from eventhub.server.publish.response import STORED, PublishResponse, send_response
from eventhub.server.publish.signal_endpoint import signal_result
from eventhub.server.security.authentication import address_of

PATH = "/v1/events"
ITEM_BYTES = 16 * 1024
"""Bytes of an item besides its data: names, a key and attributes, all escaped."""
CHECK_LINES = 256
"""After this many lines, also blank ones, check whether the share of the turn is used up."""
MISDIRECTED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND)
"""Not faults of an event. With a 200, a producer with a wrong channel would never notice."""
LEVELS = 2
"""Levels of an item above its data."""

Item = NewEvent | Signal | EventHubError
Outcome = Receipt | Signal | EventHubError
"""A signal stands for itself: it was accepted."""


class ChannelsRequest(NamedTuple):
    """The parts of a request that apply to all of its items."""

    principal: Principal
    headers: Mapping[bytes, bytes]
    limits: LimitSettings
    handling: Handling
    is_ndjson: bool


class ChannelsEndpoint:
    """The ASGI application for publishes to several channels."""

    def __init__(self, manager: ConnectionManager) -> None:
        self._manager = manager

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        manager = self._manager
        try:
            headers = headers_by_name(scope["headers"])
            principal = await manager.authentication.admit(headers, address=address_of(scope))
            manager.origin_check.check(headers)
            media_type = media_type_of(headers)
            check_body_type(media_type, headers)
            check_no_precondition(headers)
            handling = handling_of(
                prefer_of(scope, headers), parameters_of(scope["query_string"], PARAMETER)
            )
            decoder = ChannelItemDecoder(
                manager,
                principal,
                address_of(scope),
                attributes_of(headers),
                idempotency_key_of(headers),
            )
            request = ChannelsRequest(
                principal, headers, manager.settings.limits, handling, media_type in NDJSON_TYPES
            )
            body = await read_body(manager, request, receive)
            manager.authentication.check(principal)  # it may have expired meanwhile
            events = await self._decode(request, decoder, body)
            outcomes = await self._store(self._paid(events, decoder.pay()))
            await send_response(send, _response(request, events, outcomes))
        except EventHubError as error:
            manager.hub.refused(error)
            await send_problem(send, error.without_traceback())
        except ConnectionError:
            pass  # the producer left before its body was complete: nothing is stored

    async def _decode(
        self, request: ChannelsRequest, decoder: ChannelItemDecoder, body: bytes
    ) -> list[Item]:
        """An event, a signal or an error for each item, in turns.

        Raises EventHubError for a whole body.
        """
        found: list[Item] = []
        refusals = 0
        if self._manager.fair_queue.over:
            await self._manager.fair_queue.next_turn(size=len(body))
        with TimeSlice(self._manager.fair_queue) as share:
            async for value in _items(request, body, share):
                if len(found) == request.limits.batch:
                    raise PayloadTooLarge(
                        f"the body has more than {len(found)} events, which is the limit"
                        " (limits.batch); send fewer"
                    ).with_limit("batch")
                detailed = refusals < DETAILED_REFUSALS
                if isinstance(value, EventHubError):
                    result: Item = value
                else:
                    result = decoder.decode(value, len(found), detailed=detailed)
                if isinstance(result, EventHubError):
                    refusals += 1
                    result.details = result.details if detailed else []
                found.append(result)
                if len(found) % CHECK_ITEMS == 0 and share.over:
                    await share.next_turn()
        return found

    def _paid(
        self,
        events: Sequence[Item],
        refused: Mapping[str, EventHubError],
    ) -> Sequence[Item]:
        """The events, with the error of their channel type in the place of those above its rate."""
        return [self._within_rate(event, refused) for event in events] if refused else events

    def _within_rate(self, event: Item, refused: Mapping[str, EventHubError]) -> Item:
        if not isinstance(event, NewEvent):
            return event
        error = refused.get(event.channel.partition(".")[0])
        if error is not None:
            self._manager.hub.rejected(event.channel, error)
        return event if error is None else error

    async def _store(self, events: Sequence[Item]) -> list[Outcome]:
        """Store the valid events, one group a turn, then send the signals.

        An outcome for each item, in order.
        """
        hub, fair_queue = self._manager.hub, self._manager.fair_queue
        valid = [event for event in events if isinstance(event, NewEvent)]
        stored: list[Receipt | EventHubError] = []
        while len(stored) < len(valid):
            if stored and fair_queue.over:
                await fair_queue.next_turn()
            group = valid[len(stored) : len(stored) + EVENTS_PER_GROUP]
            try:
                stored += await hub.publish(group)
            except asyncio.CancelledError:  # the drain is over, and the broker has not answered
                raise ShuttingDown(
                    "the server stopped before it knew whether the events are stored; publish them"
                    " again, with the same Idempotency-Key"
                ) from None
            except EventHubError as error:
                if not stored:
                    raise
                stored += [error.without_traceback()] * (len(valid) - len(stored))
        outcomes = iter(stored)
        return [
            next(outcomes)
            if isinstance(event, NewEvent)
            else self._sent(event)
            if isinstance(event, Signal)
            else event
            for event in events
        ]

    def _sent(self, signal: Signal) -> Signal | EventHubError:
        try:
            self._manager.hub.signal(signal)
        except EventHubError as error:
            self._manager.hub.signal_rejected(signal.channel, error)
            return error.without_traceback()
        return signal


async def _items(
    request: ChannelsRequest, body: bytes, share: TimeSlice
) -> AsyncIterator[Any | EventHubError]:
    """The JSON values of an array or of lines. An error in the place of a value that is refused.

    Raises EventHubError for a body that is neither.
    """
    if request.is_ndjson:
        for number, line in enumerate(BytesIO(body), 1):
            if line.strip(WHITE_SPACE):
                yield _value_of_line(line, request)
            if number % CHECK_LINES == 0 and share.over:
                await share.next_turn()
        return
    if body.lstrip(WHITE_SPACE)[:1] != b"[":
        raise InvalidJson(
            "expected a JSON array of events with their channels, such as"
            ' [{"channel":"iot.t1","data":{"value":21.5}}], or NDJSON with its Content-Type'
        )
    for part in pieces(body, PART_BYTES, PART_COMMAS, request.limits.depth + LEVELS):
        if part is not None:
            start, end, alone = part
            item = body[start:end]
            if alone and (error := size_error(item, request.limits, ITEM_BYTES)) is not None:
                yield error
            else:
                for value in parse_items(b"[%b]" % item, body, start - 1):
                    yield value
        if share.over:
            await share.next_turn()


def _value_of_line(line: bytes, request: ChannelsRequest) -> Any | EventHubError:
    if (too_large := size_error(line, request.limits, ITEM_BYTES)) is not None:
        return too_large
    try:
        return parse(line)
    except EventHubError as error:
        return error.without_traceback()


def _response(
    request: ChannelsRequest,
    events: Sequence[Item],
    outcomes: Sequence[Outcome],
) -> PublishResponse:
    """One result for each item, in order."""
    results, accepted, signals, replayed = [], 0, 0, False
    is_lenient = request.handling is Handling.LENIENT
    deciding: EventHubError | None = None
    misdirected: EventHubError | None = None
    for event, outcome in zip(events, outcomes, strict=True):
        if isinstance(outcome, EventHubError):
            results.append(orjson.dumps({"error": outcome.as_dict()}))
            deciding = deciding or (outcome if retryable(outcome) else None)
            if is_lenient and outcome.status in MISDIRECTED:
                misdirected = misdirected or outcome
            continue
        if isinstance(outcome, Signal):
            results.append(signal_result(outcome.channel))
            signals += 1
            continue
        assert isinstance(event, NewEvent)
        (epoch, offset), time, again = outcome
        accepted, replayed = accepted + 1, replayed or again
        place = f'"channel":"{event.channel}","id":"{epoch}-{offset}"'
        results.append(f'{{{place},"time":"{format_time(time)}"}}'.encode())
    success = HTTPStatus.ACCEPTED if signals and not accepted else HTTPStatus.CREATED
    accepted += signals
    rejected = len(outcomes) - accepted
    body = b'{"accepted":%d,"rejected":%d,"results":[%b]}' % (
        accepted,
        rejected,
        b",".join(results),
    )
    deciding = deciding or misdirected
    status = status_of(accepted, rejected, deciding, request.handling, success)
    headers = [*STORED, *(APPLIED if is_lenient else ())]
    if deciding is not None and status == deciding.status:
        headers += headers_of(deciding)
    return PublishResponse(status, [*headers, REPLAYED] if replayed else headers, body)
