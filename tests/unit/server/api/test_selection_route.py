"""server/api/selection_route.py: pages of several channels: fields, cursors, who may, bad input."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from eventhub.config.settings import Settings
from eventhub.server.app import create_app
from eventhub.server.security import publish_quota
from eventhub.server.streams.selection_begin import STREAM_CHANNELS
from tests.unit.server.api.requests import request, requests

PATH = "/v1/events"
ITEMS = [
    {"channel": "logs.a", "data": {"level": "info", "message": "1"}},
    {"channel": "logs.b", "data": {"level": "error", "message": "2"}},
    {"channel": "logs.a", "data": {"level": "error", "message": "3", "logger": "x"}},
    {"channel": "chat.a", "data": {"sender": "ana", "text": "oi"}},
]
POST = ("POST", PATH, {"content": json.dumps(ITEMS)})


def test_a_page_has_the_events_of_all_channels_that_fit() -> None:
    stored, page, both, unknown = requests(
        POST,
        ("GET", f"{PATH}?channel=logs.>", {}),
        ("GET", f"{PATH}?channel=logs.b&channel=chat.*&since=-1", {}),
        ("GET", f"{PATH}?channel=iot.>", {}),
    )
    first, other, second, said = (result["id"] for result in stored.json()["results"])
    assert sorted(page.json()) == ["events", "gaps", "more", "position"]
    assert (page.json()["gaps"], page.json()["more"]) == ([], False)
    events = [(event["type"], event["channel"], event["id"]) for event in page.json()["events"]]
    assert sorted(events) == [
        ("event", "logs.a", first),
        ("event", "logs.a", second),
        ("event", "logs.b", other),
    ]
    assert page.json()["position"] == f"*,logs.a@{second},logs.b@{other}"
    assert [event["id"] for event in both.json()["events"]] == [said, other]
    assert unknown.json() == {"events": [], "gaps": [], "position": "*", "more": False}


def test_the_position_is_where_the_next_page_goes_on() -> None:
    first = requests(POST, ("GET", f"{PATH}?channel=logs.>&limit=2", {}))[1].json()
    assert first["more"]
    assert [event["data"]["message"] for event in first["events"]] == ["1", "3"]
    assert first["position"] == f"*earliest,logs.a@{first['events'][1]['id']}"


def test_a_filter_says_where_it_failed_first() -> None:
    where = {"channel": "logs.>", "where": 'data.level == "error" && data.logger == "x"'}
    stored, page = requests(POST, ("GET", PATH, {"params": where}))
    assert [event["data"]["message"] for event in page.json()["events"]] == ["3"]
    failed = page.json()["filter_failed"]
    assert (failed["events"], failed["channel"]) == (1, "logs.b")
    assert failed["id"] == stored.json()["results"][1]["id"]
    assert failed["reason"] == "there is no 'logger' (column 31)"


@pytest.mark.parametrize(
    ("query", "status", "part"),
    [
        ("", 400, "channel"),
        ("channel=", 400, "expected a channel pattern"),
        ("channel=logs.>.a", 400, "expected a channel pattern"),
        ("channel=other.>", 404, "other"),
        ("channel=logs.a&channel=logs.>", 409, "'logs.>' and 'logs.a', which have channels in"),
        ("channel=logs.a&channel=logs.a", 409, "expected each channel once"),
        (
            "&".join(f"channel=logs.{number}" for number in range(STREAM_CHANNELS + 1)),
            400,
            f"at most {STREAM_CHANNELS}",
        ),
        ("channel=logs.>&since=k-1", 400, "is an id of one channel; expected the cursor"),
        ("channel=logs.>&since=state:k-1", 400, "is an id of one channel; expected the cursor"),
        ("channel=logs.>&since=soon", 400, "since is 'soon'"),
        ("channel=logs.>&since=*,chat.a@k-1", 400, "which does not fit 'logs.>'"),
        ("channel=logs.>&since=*000000000000.1", 400, "cannot be resumed"),
        ("channel=logs.>&limit=0", 400, "limit"),
        ("channel=logs.>&limit=1001", 400, "limit"),
        ("channel=logs.>&where=data.", 400, "column"),
        ("channel=logs.>&member=ana", 400, "'member' is unknown"),
        ("channel=logs.>&limit=1&limit=2", 400, "more than once"),
    ],
)
def test_bad_input_is_told(query: str, status: int, part: str) -> None:
    answer = request("GET", f"{PATH}?{query}")
    assert (answer.status_code, part in answer.text) == (status, True), answer.text


def test_the_grants_must_cover_every_part() -> None:
    closed = Settings(
        channels={"logs": {"payload": "log", "anonymous": ["subscribe"]}, "chat": {}},
        auth={"keys": [{"name": "ops", "hash": "sha256:" + "0" * 64, "subscribe": ["chat.a"]}]},
    )
    allowed, refused, all_types = (
        request("GET", f"{PATH}?channel={query}", closed)
        for query in ("logs.>", "logs.>&channel=chat.a", ">")
    )
    assert (allowed.status_code, refused.status_code, all_types.status_code) == (200, 401, 401)


def test_pages_whose_cursor_is_stored_are_bounded_for_each_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publish_quota, "PAGE_RECORDS", 0.001)
    many = [{"channel": f"logs.greenhouse.{n}", "data": ITEMS[0]["data"]} for n in range(60)]

    async def main() -> list[httpx.Response]:
        app = create_app(Settings(), Path())
        transport = httpx.ASGITransport(app)
        async with (
            app._lifespan(None),
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
        ):
            for items in (ITEMS, many):
                await client.post(PATH, content=json.dumps(items))
            return [
                await client.get(f"{PATH}?channel={pattern}")
                for pattern in ("logs.*", "logs.>", "logs.*")
            ]

    few, large, refused = asyncio.run(main())
    assert (few.status_code, large.status_code) == (200, 200)
    assert len(large.json()["events"]) == 63
    assert len(large.json()["position"]) < 100, "the rest is at the broker"
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 100
