"""server/publish/response.py: the response to one event and to an array."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from eventhub.errors import BrokerUnavailable, EventHubError, InvalidEvent
from eventhub.events.event import Position, Receipt, Receipts
from eventhub.server.connections.fair_queue import FairQueue
from eventhub.server.publish.handling import Handling
from eventhub.server.publish.response import (
    RESULTS_PER_CHECK,
    PublishResponse,
    receipt_response,
    receipts_response,
    results_response,
    results_response_in_turns,
)


def stored(offset: int, *, replayed: bool = False) -> Receipt:
    return Receipt(Position("a", offset), 0, replayed)


def answer(*outcomes: Receipt | EventHubError, handling: Handling = Handling.STRICT) -> Any:
    """Status, headers and document of the response to an array."""
    request: Any = SimpleNamespace(
        channel="chat.a", handling=handling, is_lenient=handling is Handling.LENIENT
    )

    async def main() -> PublishResponse:
        fair_queue = FairQueue(asyncio.get_running_loop())
        return await results_response_in_turns(request, outcomes, fair_queue)

    status, headers, body = asyncio.run(main())
    return status, dict(headers), json.loads(body)


def test_one_stored_event_is_201() -> None:
    response = receipt_response("chat.a", stored(7))
    assert (response.status, dict(response.headers).get(b"idempotent-replayed")) == (201, None)
    assert dict(response.headers)[b"content-type"] == b"application/json"
    assert json.loads(response.body) == {
        "id": "a-7",
        "channel": "chat.a",
        "time": "1970-01-01T00:00:00.000Z",
    }
    replayed = receipt_response("chat.a", stored(7, replayed=True))
    assert dict(replayed.headers)[b"idempotent-replayed"] == b"true"


def test_an_array_that_is_stored_in_one_step_has_the_same_response_as_one_that_is_not() -> None:
    request: Any = SimpleNamespace(channel="chat.a", handling=Handling.STRICT, is_lenient=False)
    for number in (1, 3):
        apart = [Receipt(Position("a", offset), 1234) for offset in range(9, 9 + number)]
        together = receipts_response("chat.a", Receipts("a", 9, number, 1234))
        expected = results_response(request, apart)
        assert together == expected._replace(headers=together.headers)
        assert list(together.headers) == list(expected.headers)


def test_a_replayed_event_of_an_array_is_named_in_the_headers() -> None:
    _, headers, _ = answer(stored(1), stored(2, replayed=True), stored(3))
    assert headers[b"idempotent-replayed"] == b"true"
    _, headers, _ = answer(stored(1))
    assert b"idempotent-replayed" not in headers


def test_results_that_have_other_times_say_so() -> None:
    times = [0, 0, 1000, 0]
    *_, document = answer(*(Receipt(Position("a", 1), time) for time in times))
    assert [result["time"][17:20] for result in document["results"]] == ["00.", "00.", "01.", "00."]


def test_an_array_has_one_result_for_each_event_in_order() -> None:
    status, _, document = answer(stored(1), InvalidEvent("does not fit"), stored(2))
    assert (status, document["accepted"], document["rejected"]) == (207, 2, 1)
    assert [result.get("id") for result in document["results"]] == ["a-1", None, "a-2"]
    assert document["results"][1]["error"]["code"] == "invalid_event"


def test_a_refusal_that_may_pass_decides_the_status_and_says_when_to_retry() -> None:
    status, headers, _ = answer(BrokerUnavailable("away", retry_after=7))
    assert (status, headers[b"retry-after"]) == (503, b"7")


def test_lenient_handling_is_200_and_says_so() -> None:
    status, headers, _ = answer(InvalidEvent("does not fit"), handling=Handling.LENIENT)
    assert (status, headers[b"preference-applied"]) == (200, b"handling=lenient")


def test_results_are_encoded_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = []

    class Over:
        over = True

        def __init__(self, turns: object) -> None: ...

        async def next_turn(self) -> None:
            turns.append(1)

    monkeypatch.setattr("eventhub.server.publish.response.TimeSlice", Over)
    answer(*[stored(1)] * (4 * RESULTS_PER_CHECK))
    assert len(turns) == 4
