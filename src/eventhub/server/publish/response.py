"""The JSON responses to one event and to an array. Problem documents are in server/messages."""

from collections.abc import Sequence
from http import HTTPStatus

import orjson
from starlette.types import Send

from eventhub.errors import EventHubError
from eventhub.events.event import Receipt, format_time
from eventhub.server.connections.fair_queue import FairQueue, TimeSlice
from eventhub.server.messages.security_headers import ALWAYS, APPLIED, REPLAYED, headers_of
from eventhub.server.publish.handling import retryable, status_of
from eventhub.server.publish.request import PublishRequest

RESULTS_PER_CHECK = 256
"""After this many results of an array, check whether the share of the turn is used up."""


async def send_receipt(send: Send, channel: str, receipt: Receipt) -> None:
    """201 for one stored event."""
    headers = [REPLAYED] if receipt.replayed else []
    await _send_json(send, HTTPStatus.CREATED, encode_receipt(channel, receipt), headers)


def encode_receipt(channel: str, receipt: Receipt) -> bytes:
    """The body of the response to one stored event."""
    (epoch, offset), time, _ = receipt
    text = f'{{"id":"{epoch}-{offset}","channel":"{channel}","time":"{format_time(time)}"}}'
    return text.encode()


async def send_results(
    send: Send,
    request: PublishRequest,
    outcomes: Sequence[Receipt | EventHubError],
    fair_queue: FairQueue,
) -> None:
    """One result for each event of an array, in order. The status sums them up."""
    results = BatchResults()
    await results.encode(outcomes, fair_queue)
    accepted, rejected = len(outcomes) - results.rejected, results.rejected
    counts = f'"accepted":{accepted},"rejected":{rejected}'
    body = f'{{"channel":"{request.channel}",{counts},"results":[{",".join(results.encoded)}]}}'
    status = status_of(accepted, rejected, results.retryable, request.handling, HTTPStatus.CREATED)
    headers = [*APPLIED] if request.is_lenient else []
    if results.retryable is not None and status == results.retryable.status:
        headers += headers_of(results.retryable)
    if results.replayed:
        headers.append(REPLAYED)
    await _send_json(send, status, body.encode(), headers)


class BatchResults:
    """The encoded results of an array, and the facts that its status depends on."""

    __slots__ = ("_encoded_error", "_error", "encoded", "rejected", "replayed", "retryable")

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.rejected = 0
        self.replayed = False
        self.retryable: EventHubError | None = None
        """The first refusal after which the event may be sent again."""
        self._error: EventHubError | None = None
        self._encoded_error = ""

    async def encode(
        self, outcomes: Sequence[Receipt | EventHubError], fair_queue: FairQueue
    ) -> None:
        """Encode all outcomes, in turns of the event loop."""
        share = TimeSlice(fair_queue)
        time, time_text = -1, ""  # the events of an array mostly share one time
        for number, outcome in enumerate(outcomes, 1):
            if number % RESULTS_PER_CHECK == 0 and share.over:
                await share.next_turn()
            if isinstance(outcome, EventHubError):
                self.encoded.append(self._encode_error(outcome))
                continue
            (epoch, offset), stored_at, replayed = outcome
            if replayed:
                self.replayed = True
            if stored_at != time:
                time, time_text = stored_at, format_time(stored_at)
            self.encoded.append(f'{{"id":"{epoch}-{offset}","time":"{time_text}"}}')

    def _encode_error(self, error: EventHubError) -> str:
        self.rejected += 1
        if self.retryable is None and retryable(error):
            self.retryable = error
        if error is not self._error:  # refused items often share one error (BatchDecoder)
            self._error = error
            self._encoded_error = orjson.dumps({"error": error.as_dict()}).decode()
        return self._encoded_error


async def _send_json(
    send: Send, status: int, body: bytes, headers: Sequence[tuple[bytes, bytes]]
) -> None:
    all_headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *ALWAYS,
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
    await send({"type": "http.response.body", "body": body})
