"""server/api/read_routes.py: pages of history, presence, channel types."""

from tests.unit.server.api.requests import request, requests

EVENT = '{"sender":"ana","text":"oi"}'
CHANNEL = "/v1/channels/chat.a"


def test_a_page_has_events_and_the_position_to_go_on_from() -> None:
    stored, page, rest = requests(
        ("POST", CHANNEL, {"content": f"[{EVENT},{EVENT},{EVENT}]"}),
        ("GET", CHANNEL, {"params": {"limit": 2}}),
        ("GET", CHANNEL, {"params": {"since": "-1"}}),
    )
    ids = [result["id"] for result in stored.json()["results"]]
    assert [event["id"] for event in page.json()["events"]] == ids[:2]
    assert (page.json()["position"], page.json()["head"], page.json()["gap"]) == (
        ids[1],
        ids[2],
        None,
    )
    assert [event["id"] for event in rest.json()["events"]] == ids[2:]


def test_latest_is_an_empty_page_at_the_end() -> None:
    stored, page = requests(
        ("POST", CHANNEL, {"content": EVENT}), ("GET", CHANNEL, {"params": {"since": "latest"}})
    )
    assert page.json()["events"] == []
    assert page.json()["position"] == page.json()["head"] == stored.json()["id"]


def test_presence_is_empty_or_not_kept() -> None:
    assert request("GET", f"{CHANNEL}/presence").json() == {
        "channel": "chat.a",
        "count": 0,
        "members": [],
    }
    refused = request("GET", "/v1/channels/logs.a/presence")
    assert (refused.status_code, "presence: true" in refused.json()["detail"]) == (404, True)


def test_a_type_is_described_with_its_schemas() -> None:
    (first, *_), chat = (
        request("GET", "/v1/types").json()["types"],
        request("GET", "/v1/types/chat").json(),
    )
    assert chat.keys() == {*first, "schemas"}
    assert chat["schemas"].keys() == {"accepted", "stored"}
