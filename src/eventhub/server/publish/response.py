"""The JSON responses to one event and to an array. Problem documents are in server/messages."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import NamedTuple

import orjson
from starlette.types import Send

from eventhub.errors import EventHubError
from eventhub.events.event import Receipt, Receipts, format_time
from eventhub.server.connections.fair_queue import FairQueue, TimeSlice
from eventhub.server.messages.problem import ProblemResponse
from eventhub.server.messages.security_headers import ALWAYS, APPLIED, REPLAYED, headers_of
from eventhub.server.publish.handling import retryable, status_of
from eventhub.server.publish.request import PublishRequest

RESULTS_PER_CHECK = 256
"""After this many results of an array, check whether the share of the turn is used up."""
STORED = ((b"content-type", b"application/json"), *ALWAYS)
"""The headers of the response to stored events, besides its length."""


class PublishResponse(NamedTuple):
    """A complete response. `headers` has all but its length."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


def receipt_response(channel: str, receipt: Receipt) -> PublishResponse:
    """201 for one stored event."""
    (epoch, offset), time, replayed = receipt
    text = f'{{"id":"{epoch}-{offset}","channel":"{channel}","time":"{format_time(time)}"}}'
    headers = (*STORED, REPLAYED) if replayed else STORED
    return PublishResponse(HTTPStatus.CREATED, headers, text.encode())


def receipts_response(channel: str, receipts: Receipts) -> PublishResponse:
    """201 for the events of an array, which are all stored."""
    epoch, first, number, time = receipts
    end = f'","time":"{format_time(time)}"}}'
    begin = f'{{"id":"{epoch}-'
    ids = f"{end},{begin}".join(map(str, range(first, first + number)))
    text = (
        f'{{"channel":"{channel}","accepted":{number},"rejected":0,"results":[{begin}{ids}{end}]}}'
    )
    return PublishResponse(HTTPStatus.CREATED, STORED, text.encode())


def problem_response(error: EventHubError) -> PublishResponse:
    """The error as a problem document."""
    problem = ProblemResponse(error)
    headers = [field for field in problem.raw_headers if field[0] != b"content-length"]
    return PublishResponse(problem.status_code, headers, bytes(problem.body))


def results_response(
    request: PublishRequest, outcomes: Sequence[Receipt | EventHubError]
) -> PublishResponse:
    """One result for each event of an array with few events, in order."""
    results = BatchResults()
    for outcome in outcomes:
        results.add(outcome)
    return results.response(request)


async def results_response_in_turns(
    request: PublishRequest,
    outcomes: Sequence[Receipt | EventHubError],
    fair_queue: FairQueue,
) -> PublishResponse:
    """As `results_response`, in turns of the event loop."""
    results, share = BatchResults(), TimeSlice(fair_queue)
    for number, outcome in enumerate(outcomes, 1):
        if number % RESULTS_PER_CHECK == 0 and share.over:
            await share.next_turn()
        results.add(outcome)
    return results.response(request)


async def send_response(send: Send, response: PublishResponse) -> None:
    """Send it as ASGI messages."""
    status, headers, body = response
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class BatchResults:
    """The encoded results of an array, and the facts that its status depends on."""

    __slots__ = (
        "_accepted",
        "_encoded",
        "_encoded_error",
        "_error",
        "_rejected",
        "_replayed",
        "_retryable",
        "_time",
        "_time_text",
    )

    def __init__(self) -> None:
        self._encoded: list[str] = []
        self._accepted = self._rejected = 0
        self._replayed = False
        self._retryable: EventHubError | None = None  # the first after which it may be sent again
        self._error: EventHubError | None = None
        self._encoded_error = ""
        self._time, self._time_text = -1, ""  # the events of an array mostly share one time

    def add(self, outcome: Receipt | EventHubError) -> None:
        """Encode the outcome of the next event."""
        if isinstance(outcome, EventHubError):
            self._encoded.append(self._encode_error(outcome))
            return
        (epoch, offset), time, replayed = outcome
        self._accepted += 1
        if replayed:
            self._replayed = True
        if time != self._time:
            self._time, self._time_text = time, format_time(time)
        self._encoded.append(f'{{"id":"{epoch}-{offset}","time":"{self._time_text}"}}')

    def response(self, request: PublishRequest) -> PublishResponse:
        """The response with all results. The status sums them up."""
        accepted, rejected, retried = self._accepted, self._rejected, self._retryable
        counts = f'"accepted":{accepted},"rejected":{rejected}'
        body = f'{{"channel":"{request.channel}",{counts},"results":[{",".join(self._encoded)}]}}'
        status = status_of(accepted, rejected, retried, request.handling, HTTPStatus.CREATED)
        headers = [*STORED, *(APPLIED if request.is_lenient else ())]
        if retried is not None and status == retried.status:
            headers += headers_of(retried)
        if self._replayed:
            headers.append(REPLAYED)
        return PublishResponse(status, headers, body.encode())

    def _encode_error(self, error: EventHubError) -> str:
        self._rejected += 1
        if self._retryable is None and retryable(error):
            self._retryable = error
        if error is not self._error:  # refused items often share one error (BatchDecoder)
            self._error = error
            self._encoded_error = orjson.dumps({"error": error.as_dict()}).decode()
        return self._encoded_error
