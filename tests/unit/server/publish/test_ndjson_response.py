"""server/publish/ndjson_response.py: what the response says, at the end of a body or meanwhile."""

import asyncio
from typing import Any

import orjson
from starlette.types import Message

from eventhub.errors import BrokerUnavailable, EventHubError, InvalidEvent, InvalidJson
from eventhub.events.event import NewEvent, Position, Receipt
from eventhub.server.publish.handling import DETAILED_REFUSALS, Handling
from eventhub.server.publish.ndjson_response import NdjsonResponse
from tests.harness.loop import in_loop
from tests.harness.virtual_time import turns

EVENT = NewEvent("logs.a", b"1", 0)


def stored(offset: int, *, replayed: bool = False) -> Receipt:
    return Receipt(Position("a", offset), 0, replayed)


async def sent(response: NdjsonResponse, *, at_end: bool = True) -> tuple[Message, list[Any]]:
    """The start of the response, and its lines."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await response.send(send, at_end=at_end)
    body = b"".join(message["body"] for message in messages[1:])
    return messages[0], [orjson.loads(line) for line in body.splitlines()]


@in_loop
async def test_a_complete_body_is_answered_with_its_refusals_and_its_counts() -> None:
    response = NdjsonResponse(Handling.STRICT)
    response.refuse(1, InvalidJson("no JSON"))
    response.record([2, 3], [stored(7), InvalidEvent("does not fit")])
    response.report(3)
    response.end(None)
    start, lines = await sent(response)
    assert start["status"] == 207
    assert [line["line"] for line in lines] == [1, 3, 3]
    assert lines[-1] == {"line": 3, "accepted": 1, "rejected": 2, "id": "a-7", "done": True}


@in_loop
async def test_a_body_that_ends_early_is_answered_with_a_problem_that_says_how_far_it_came() -> (
    None
):
    response = NdjsonResponse(Handling.STRICT)
    response.refuse(1, InvalidJson("no JSON"))
    response.report(1)
    response.end(BrokerUnavailable("away"))
    start, (problem,) = await sent(response)
    assert (start["status"], dict(start["headers"])[b"content-type"]) == (
        503,
        b"application/problem+json",
    )
    assert problem["progress"] == {"line": 1, "accepted": 0, "rejected": 1, "id": None}
    assert [refusal["line"] for refusal in problem["refused"]] == [1]


@in_loop
async def test_an_error_before_the_first_line_is_raised() -> None:
    response = NdjsonResponse(Handling.STRICT)
    response.end(BrokerUnavailable("away"))
    raised: EventHubError | None = None
    try:
        await sent(response)
    except BrokerUnavailable as error:
        raised = error
    assert raised is not None


@in_loop
async def test_progress_is_sent_while_the_body_goes_on() -> None:
    response = NdjsonResponse(Handling.STRICT)
    response.line_arrived()
    response.report(1)
    sending = asyncio.create_task(sent(response, at_end=False))
    await turns()
    response.record([2], [stored(1)])
    response.report(2)
    await turns()
    response.end(None)
    start, lines = await sending
    assert start["status"] == 200
    assert [(line["line"], line.get("done")) for line in lines] == [
        (1, None),
        (2, None),
        (2, True),
    ]


@in_loop
async def test_the_first_end_counts() -> None:
    response = NdjsonResponse(Handling.STRICT)
    response.end(None)
    response.end(BrokerUnavailable("away"))
    assert response.error is None


@in_loop
async def test_only_the_first_refusals_are_sent_and_all_are_counted() -> None:
    response = NdjsonResponse(Handling.LENIENT)
    for line in range(1, DETAILED_REFUSALS + 11):
        response.refuse(line, InvalidJson("no JSON"))
    response.report(DETAILED_REFUSALS + 10)
    response.end(None)
    start, lines = await sent(response)
    assert (start["status"], len(lines)) == (200, DETAILED_REFUSALS + 1)
    assert lines[-1]["rejected"] == DETAILED_REFUSALS + 10
    assert response.first_refusal == ("invalid_json", "no JSON")


@in_loop
async def test_a_response_says_that_events_were_stored_before() -> None:
    response = NdjsonResponse(Handling.STRICT)
    response.record([1], [stored(1, replayed=True)])
    response.report(1)
    response.end(None)
    start, _ = await sent(response)
    assert dict(start["headers"])[b"idempotent-replayed"] == b"true"
