"""Routes that read: who may, and what is checked in which order."""

from typing import Any

import pytest

from eventhub.auth.keys import hash_key
from eventhub.config.settings import Settings
from eventhub.server.streams.selection_begin import STREAM_CHANNELS
from tests.unit.server.api.requests import request, requests

KEYS = {
    "reader": ("ehk_reader-0123456789ab", {"subscribe": ["chat.a"]}),
    "watcher": ("ehk_watcher-0123456789a", {"presence": ["chat.a"]}),
    "writer": ("ehk_writer-0123456789ab", {"publish": [">"]}),
}
EVENT = '{"sender":"ana","text":"oi"}'


def settings(**chat: Any) -> Settings:
    keys = [{"name": name, "hash": hash_key(key), **may} for name, (key, may) in KEYS.items()]
    types = {
        "chat": {"payload": "json", "presence": True, **chat},
        "logs": {"payload": "json"},
    }
    return Settings.model_validate(
        {"channels": types, "auth": {"keys": keys}, "limits": {"page": 3}}
    )


def bearer(name: str) -> dict[str, str]:
    return {"authorization": f"Bearer {KEYS[name][0]}"} if name else {}


CHANNEL = "/v1/channels/chat.a"
READS = (CHANNEL, f"{CHANNEL}/count")
PRESENCE = f"{CHANNEL}/presence"


@pytest.mark.parametrize(
    ("path", "name", "status"),
    [
        *((path, "", 401) for path in (*READS, PRESENCE)),
        *((path, "reader", 200) for path in READS),
        *((path, "watcher", 403) for path in READS),
        *((path, "writer", 403) for path in READS),
        *((path.replace("chat.a", "chat.b"), "reader", 403) for path in READS),
        (PRESENCE, "watcher", 200),
        (PRESENCE, "reader", 403),
        (PRESENCE.replace("chat.a", "chat.b"), "watcher", 403),
    ],
)
def test_a_channel_is_read_only_with_a_grant_for_it(path: str, name: str, status: int) -> None:
    assert request("GET", path, settings(), headers=bearer(name)).status_code == status


@pytest.mark.parametrize("path", [*READS, PRESENCE, "/v1/channels"])
def test_a_bad_credential_is_refused_everywhere(path: str) -> None:
    wrong = {"authorization": "Bearer ehk_nobody-0123456789ab"}
    open_to_all = settings(anonymous=["subscribe", "presence"])
    assert request("GET", path, open_to_all, headers=wrong).status_code == 401


@pytest.mark.parametrize(
    ("anonymous", "statuses"),
    [(["subscribe"], [200, 200, 401]), (["presence"], [401, 401, 200])],
)
def test_a_stranger_reads_what_the_type_allows(anonymous: list[str], statuses: list[int]) -> None:
    found = requests(
        *(("GET", path, {}) for path in (*READS, PRESENCE)),
        settings=settings(anonymous=anonymous),
    )
    assert [response.status_code for response in found] == statuses


def test_a_list_of_channels_has_those_that_may_be_read() -> None:
    writer = {"content": "1", "headers": bearer("writer")}
    _, _, mine, nobodys = requests(
        ("POST", CHANNEL, writer),
        ("POST", "/v1/channels/logs.a", writer),
        ("GET", "/v1/channels", {"headers": bearer("reader")}),
        ("GET", "/v1/channels", {"headers": bearer("writer")}),
        settings=settings(),
    )
    assert [channel["name"] for channel in mine.json()["channels"]] == ["chat.a"]
    assert nobodys.json()["channels"] == []


def test_a_page_has_at_most_what_is_configured_and_that_if_nothing_is_asked_for() -> None:
    texts = ",".join("12345")
    _, page, most, more, none = requests(
        ("POST", CHANNEL, {"content": f"[{texts}]"}),
        ("GET", CHANNEL, {}),
        ("GET", CHANNEL, {"params": {"limit": 3}}),
        ("GET", CHANNEL, {"params": {"limit": 4}}),
        ("GET", CHANNEL, {"params": {"limit": 0}}),
        settings=Settings.model_validate(
            {"channels": {"chat": {"payload": "json"}}, "limits": {"page": 3}}
        ),
    )
    assert [event["data"] for event in page.json()["events"]] == [1, 2, 3]
    assert (most.status_code, more.status_code, none.status_code) == (200, 400, 400)


def test_a_page_has_a_hundred_events_if_more_are_allowed_and_no_number_is_asked_for() -> None:
    texts = ",".join(["1"] * 120)
    _, page = requests(
        ("POST", CHANNEL, {"content": f"[{texts}]"}),
        ("GET", CHANNEL, {}),
        settings=Settings.model_validate({"channels": {"chat": {"payload": "json"}}}),
    )
    assert len(page.json()["events"]) == 100


@pytest.mark.parametrize("path", [CHANNEL, f"{CHANNEL}/count"])
def test_what_is_wrong_with_the_address_is_told_before_any_grant_is_looked_at(path: str) -> None:
    for query, code in (("since=x", "invalid_since"), ("sinse=1", "invalid_request")):
        found = request("GET", f"{path}?{query}", settings())
        assert (found.status_code, found.json()["code"]) == (400, code)


@pytest.mark.parametrize("path", ["/v1/presence", "/v1/types", "/v1/types/chat"])
def test_routes_without_parameters_take_none(path: str) -> None:
    found = request("GET", f"{path}?limit=1")
    assert (found.status_code, found.json()["code"]) == (400, "invalid_request")


def test_a_page_that_begins_behind_lost_events_has_the_gap() -> None:
    _, page = requests(
        ("POST", CHANNEL, {"content": f"[{','.join('12345')}]"}),
        ("GET", CHANNEL, {"params": {"since": "zzz-1"}}),
        settings=Settings.model_validate({"channels": {"chat": {"payload": "json"}}}),
    )
    gap = page.json()["gap"]
    assert (gap["reason"], gap["after"]) == ("reset", "zzz-1")


def test_a_type_is_described_as_it_is_configured() -> None:
    configured = {"payload": "json", "presence": True, "slow": "latest"}
    chat = {
        **configured,
        "history": {"events": 7, "age": "90s"},
        "publish": ["producer", "client"],
    }
    found = request(
        "GET", "/v1/types/chat", Settings.model_validate({"channels": {"chat": chat}})
    ).json()
    del found["schemas"]
    assert found == {
        "name": "chat",
        **configured,
        "history": {"events": 7, "age": 90, "latest": False},
        "publish": ["client", "producer"],
        "sender": "any",
        "key": None,
        "signals": [],
        "version": None,
        "compatibility": None,
    }


@pytest.mark.parametrize("path", ["/v1/channels/chat.a/sse", "/v1/channels/chat.a/ndjson"])
def test_a_stream_needs_a_credential_that_is_good_and_a_page_that_is_listed(path: str) -> None:
    wrong = {"authorization": "Bearer ehk_nobody-0123456789ab"}
    assert request("GET", path, settings(), headers=wrong).status_code == 401
    foreign = {"origin": "https://evil.example"}
    found = request("GET", path, settings(), headers={**bearer("reader"), **foreign})
    assert (found.status_code, found.json()["code"]) == (403, "origin_not_allowed")


def test_a_stream_has_up_to_its_bound_of_channels() -> None:
    query = "&".join(f"channel=chat.{number}" for number in range(STREAM_CHANNELS))
    found = request("GET", f"/v1/sse?{query}", settings(), headers=bearer("writer"))
    assert found.status_code == 403, "not that there are too many"


def test_refusals_by_a_limit_are_counted() -> None:
    _, _, scraped = requests(
        ("GET", CHANNEL, {"params": {"limit": 4}}),
        ("GET", "/v1/channels?limit=4", {}),
        ("GET", "/metrics", {}),
        settings=Settings.model_validate({"limits": {"page": 3}}),
    )
    lines = [line for line in scraped.text.splitlines() if 'limit="page"' in line]
    assert [line.rpartition(" ")[2] for line in lines] == ["2.0"]
