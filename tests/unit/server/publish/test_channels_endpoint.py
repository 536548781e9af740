"""server/publish/channels_endpoint.py: events of several channels in one request."""

import json
from typing import Any

import httpx
import pytest

from eventhub.auth.keys import hash_key
from eventhub.config.limit_settings import LimitSettings
from eventhub.config.settings import Settings
from eventhub.server.connections.fair_queue import TimeSlice
from eventhub.server.publish import channels_endpoint
from tests.unit.server.api.requests import request, requests

PATH = "/v1/events"
NDJSON = {"Content-Type": "application/x-ndjson"}
READING = {"channel": "iot.t1", "data": {"value": 21.5}}
CHAT = {"channel": "chat.a", "data": {"sender": "ana", "text": "oi"}}
LOG = {"channel": "logs.api", "data": {"level": "info", "message": "started"}}


def publish(*items: Any, settings: Settings | None = None, **options: Any) -> httpx.Response:
    return request("POST", PATH, settings, content=json.dumps(items), **options)


def codes(answer: httpx.Response) -> list[str | None]:
    """The error of each result; None for a stored event."""
    return [result.get("error", {}).get("code") for result in answer.json()["results"]]


def test_each_event_is_stored_in_its_channel_and_has_a_result_in_order() -> None:
    stored, chat, logs, iot = requests(
        ("POST", PATH, {"content": json.dumps([READING, CHAT, READING, LOG])}),
        *(("GET", f"/v1/channels/{name}", {}) for name in ("chat.a", "logs.api", "iot.t1")),
    )
    assert stored.status_code == 201
    assert (stored.json()["accepted"], stored.json()["rejected"]) == (4, 0)
    results = stored.json()["results"]
    assert [list(result) for result in results] == [["channel", "id", "time"]] * 4
    assert [result["channel"] for result in results] == ["iot.t1", "chat.a", "iot.t1", "logs.api"]
    ids = [[event["id"] for event in page.json()["events"]] for page in (chat, logs, iot)]
    assert ids == [[results[1]["id"]], [results[3]["id"]], [results[0]["id"], results[2]["id"]]]
    assert chat.json()["events"][0]["data"] == CHAT["data"]


def test_lines_are_items_too_and_blank_ones_have_no_result() -> None:
    lines = f"{json.dumps(READING)}\n\n  \r\n{json.dumps(CHAT)}\nnonsense\n[1]"
    answer = request("POST", PATH, content=lines, headers=NDJSON)
    assert answer.status_code == 207
    assert codes(answer) == [None, None, "invalid_json", "invalid_request"]


@pytest.mark.parametrize(
    ("item", "code", "text"),
    [
        ({"channel": "iot.t1", "data": {"value": "warm"}}, "invalid_event", "/value"),
        ({"channel": "nothing.x", "data": 1}, "unknown_channel", "nothing"),
        ({"channel": "a b", "data": 1}, "invalid_channel", "a b"),
        ({"channel": "iot.t1"}, "invalid_request", "/data"),
        ({"data": 1}, "invalid_request", "/channel"),
        ({**READING, "kye": "k"}, "invalid_request", "did you mean key?"),
        ({**READING, "key": ""}, "invalid_request", "/key"),
        ({**READING, "attributes": {"by": "rui"}}, "invalid_request", "/attributes"),
        ({**READING, "attributes": {"time": "noon"}}, "invalid_request", "RFC 3339"),
        ([READING], "invalid_request", "expected one such as"),
        (7, "invalid_request", "expected one such as"),
    ],
)
def test_a_refused_item_says_what_is_wrong_and_costs_no_other(
    item: Any, code: str, text: str
) -> None:
    answer = publish(CHAT, item, READING)
    assert answer.status_code == 207
    assert codes(answer) == [None, code, None]
    assert text in json.dumps(answer.json()["results"][1])


def test_the_status_says_whether_all_some_or_none_were_stored() -> None:
    wrong = {"channel": "nothing.x", "data": 1}
    assert publish(wrong, wrong).status_code == 422
    assert publish(wrong, CHAT).status_code == 207
    faulty = {"channel": "chat.x", "data": 1}
    lenient = publish(faulty, headers={"Prefer": "handling=lenient"})
    assert lenient.status_code == 200
    assert lenient.headers["preference-applied"] == "handling=lenient"
    empty = publish()
    assert (empty.status_code, empty.json()["results"]) == (201, [])


def test_a_lenient_producer_with_a_wrong_channel_is_told_and_its_other_items_are_stored() -> None:
    wrong = {"channel": "nothing.x", "data": 1}
    answer = publish(CHAT, wrong, {"channel": "chat.x", "data": 1}, params={"handling": "lenient"})
    assert answer.status_code == 404
    assert codes(answer) == [None, "unknown_channel", "invalid_event"]
    closed = Settings.model_validate({"channels": {"chat": {"publish": ["client"]}}})
    forbidden = publish(CHAT, settings=closed, params={"handling": "lenient"})
    assert (forbidden.status_code, codes(forbidden)) == (403, ["forbidden"])


@pytest.mark.parametrize(
    ("content", "headers", "status", "text"),
    [
        ("", {}, 400, "expected a JSON array"),
        (json.dumps(READING), {}, 400, "expected a JSON array"),
        ("[{]", {}, 400, "column"),
        ("[1,]", {}, 400, "an item is missing"),
        ("[]", {"Content-Type": "application/cloudevents+json"}, 415, "CloudEvents"),
        ("[]", {"Idempotency-Key": "a b"}, 400, "visible ASCII"),
    ],
)
def test_a_body_that_is_no_list_of_items_is_refused(
    content: str, headers: dict[str, str], status: int, text: str
) -> None:
    answer = request("POST", PATH, content=content, headers=headers)
    assert answer.status_code == status
    assert text in answer.json()["detail"]


def test_bounds_are_named() -> None:
    settings = Settings(limits=LimitSettings(batch=2, event_bytes=1024, body_bytes=100_000))
    many = publish(CHAT, CHAT, CHAT, settings=settings)
    assert (many.status_code, "limits.batch" in many.json()["detail"]) == (413, True)
    large = {"channel": "chat.a", "data": {"sender": "ana", "text": "x" * 2000}}
    huge = {"channel": "chat.a", "data": {"sender": "ana", "text": "x" * 40_000}}
    for item in (large, huge):
        answer = publish(item, CHAT, settings=settings)
        assert codes(answer) == ["payload_too_large", None]
        assert "limits.event_bytes" in answer.json()["results"][0]["error"]["message"]
    whole = publish(*[huge] * 3, settings=settings)
    assert (whole.status_code, "limits.body_bytes" in whole.json()["detail"]) == (413, True)


def test_a_key_of_the_request_covers_each_item_and_an_item_may_have_its_own() -> None:
    body = {"content": json.dumps([CHAT, CHAT, {**CHAT, "key": "own"}])}
    first, again, page = requests(
        ("POST", PATH, {**body, "headers": {"Idempotency-Key": "k"}}),
        ("POST", PATH, {**body, "headers": {"Idempotency-Key": "k"}}),
        ("GET", "/v1/channels/chat.a", {}),
    )
    assert first.json() == again.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert len(page.json()["events"]) == 3


def test_attributes_are_those_of_the_item_over_those_of_the_request() -> None:
    items = [{**CHAT, "attributes": {"subject": "own", "id": "7"}}, CHAT]
    headers = {"ce-source": "all", "ce-subject": "all"}
    _, page = requests(
        ("POST", PATH, {"content": json.dumps(items), "headers": headers}),
        ("GET", "/v1/channels/chat.a", {}),
    )
    assert [event["attributes"] for event in page.json()["events"]] == [
        {"source": "all", "subject": "own", "id": "7"},
        {"source": "all", "subject": "all"},
    ]


KEY = "ehk_backend-0123456789"
BEARER = {"Authorization": f"Bearer {KEY}"}


def with_key(**more: Any) -> Settings:
    key = {"name": "backend", "hash": hash_key(KEY), "publish": ["chat.*", "iot.>"], **more}
    return Settings.model_validate({"auth": {"keys": [{**key, "subscribe": [">"]}]}})


def test_grants_are_checked_for_each_item_and_events_have_their_author() -> None:
    stored, page, stranger = requests(
        ("POST", PATH, {"content": json.dumps([CHAT, LOG, READING]), "headers": BEARER}),
        ("GET", "/v1/channels/chat.a", {"headers": BEARER}),
        ("POST", PATH, {"content": json.dumps([CHAT])}),
        settings=with_key(),
    )
    assert (stored.status_code, codes(stored)) == (207, [None, "forbidden", None])
    assert [event["by"] for event in page.json()["events"]] == ["backend"]
    assert (stranger.status_code, codes(stranger)) == (422, ["unauthorized"])


def test_a_channel_type_takes_what_the_rate_allows() -> None:
    items = {"content": json.dumps([CHAT, CHAT]), "headers": BEARER}
    first, second = requests(
        ("POST", PATH, items),
        ("POST", PATH, {**items, "content": json.dumps([CHAT, READING])}),
        settings=with_key(rate=0.05),  # the next event is due after 40 seconds
    )
    assert first.status_code == 201
    assert codes(second) == ["rate_limited", None]
    assert second.status_code == 207


def test_when_nothing_can_be_stored_now_the_status_says_when_to_come_back() -> None:
    items = {"content": json.dumps([CHAT, CHAT]), "headers": BEARER}
    settings = with_key(rate=0.05)
    _, again = requests(("POST", PATH, items), ("POST", PATH, items), settings=settings)
    assert (again.status_code, codes(again)) == (429, ["rate_limited"] * 2)
    assert int(again.headers["retry-after"]) > 0


def test_more_than_a_minute_of_the_rate_is_too_large_for_its_type_alone() -> None:
    items = [*[CHAT] * 70, READING]
    answer = publish(*items, settings=with_key(rate=1), headers=BEARER)
    assert answer.status_code == 207
    assert codes(answer) == ["payload_too_large"] * 70 + [None]


def test_many_events_are_stored_in_groups_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels_endpoint, "EVENTS_PER_GROUP", 7)
    items = [
        {"channel": f"logs.{n % 3}", "data": {"level": "info", "message": "x" * 500 + str(n)}}
        for n in range(300)
    ]
    stored, page = requests(
        ("POST", PATH, {"content": json.dumps(items)}),
        ("GET", "/v1/channels/logs.1?limit=1000", {}),
    )
    assert (stored.status_code, stored.json()["accepted"]) == (201, 300)
    messages = [event["data"]["message"].lstrip("x") for event in page.json()["events"]]
    assert messages == [str(n) for n in range(1, 300, 3)]


def test_after_many_refusals_only_codes_and_messages_are_told() -> None:
    wrong = {"channel": "iot.t1", "data": {"value": "warm"}}
    results = publish(*[wrong] * 102).json()["results"]
    assert ["details" in result["error"] for result in results] == [True] * 100 + [False] * 2


def test_many_blank_lines_give_others_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0

    class Used(TimeSlice):
        @property
        def over(self) -> bool:
            return True

        async def next_turn(self) -> None:
            nonlocal turns
            turns += 1

    monkeypatch.setattr(channels_endpoint, "TimeSlice", Used)
    content = b"\n" * (10 * channels_endpoint.CHECK_LINES) + json.dumps(CHAT).encode()
    answer = request("POST", PATH, content=content, headers=NDJSON)
    assert (answer.status_code, turns) == (201, 10)


def test_an_error_in_an_array_is_at_its_place_in_the_body() -> None:
    answer = request("POST", PATH, content=f"[{json.dumps(CHAT)},\n{{]")
    assert "line 2" in answer.json()["detail"]
