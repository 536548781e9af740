"""server/api/read_routes.py: pages of history, presence, channel types."""

from eventhub.config.limit_settings import LimitSettings as Limits
from eventhub.config.settings import Settings
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


def test_channels_are_listed_page_by_page() -> None:
    stored, _, _, every, first, rest, below = requests(
        ("POST", CHANNEL, {"content": f"[{EVENT},{EVENT}]"}),
        ("POST", "/v1/channels/chat.b", {"content": EVENT}),
        ("POST", "/v1/channels/chat.b.c", {"content": EVENT}),
        ("GET", "/v1/channels", {}),
        ("GET", "/v1/channels?limit=1", {}),
        ("GET", "/v1/channels?limit=2&after=chat.a", {}),
        ("GET", "/v1/channels?match=chat.*.>", {}),
    )
    last = stored.json()["results"][1]
    (found, *_) = every.json()["channels"]
    assert found == {
        "name": "chat.a",
        "head": last["id"],
        "time": last["time"],
        "events": 2,
        "subscribers": 0,
        "members": 0,
    }
    assert [
        ([channel["name"] for channel in page.json()["channels"]], page.json()["next"])
        for page in (every, first, rest, below)
    ] == [
        (["chat.a", "chat.b", "chat.b.c"], None),
        (["chat.a"], "chat.a"),
        (["chat.b", "chat.b.c"], None),
        (["chat.b.c"], None),
    ]
    assert every.json()["complete"] is True


def test_a_list_of_channels_says_what_is_wrong_with_its_address() -> None:
    pattern, limit, unknown = requests(
        ("GET", "/v1/channels?match=iot..x", {}),
        ("GET", "/v1/channels?limit=1001", {}),
        ("GET", "/v1/channels?pattern=x", {}),
    )
    assert {pattern.status_code, limit.status_code, unknown.status_code} == {400}
    assert "match is no pattern: expected a channel pattern" in pattern.json()["detail"]
    assert "'iot..x'" in pattern.json()["detail"]
    assert "1000" in limit.json()["detail"]
    assert "'pattern' is unknown; expected match and after and limit" in unknown.json()["detail"]


def test_unread_events_are_counted_exactly_up_to_the_bound() -> None:
    settings = Settings(limits=Limits(page=3))
    stored, two, three, all_, none = requests(
        ("POST", CHANNEL, {"content": f"[{EVENT},{EVENT},{EVENT},{EVENT}]"}),
        ("GET", f"{CHANNEL}/count", {"params": {"since": "-2"}}),
        ("GET", f"{CHANNEL}/count", {"params": {"since": "-3"}}),
        ("GET", f"{CHANNEL}/count", {}),
        ("GET", f"{CHANNEL}/count", {"params": {"since": "latest"}}),
        settings=settings,
    )
    ids = [result["id"] for result in stored.json()["results"]]
    assert two.json() == {
        "channel": "chat.a",
        "count": 2,
        "more": False,
        "text": "2",
        "position": ids[1],
        "head": ids[3],
        "lost": None,
    }
    assert [answer.json()["text"] for answer in (three, all_, none)] == ["3", "3+", "0"]
    assert (all_.json()["count"], all_.json()["more"]) == (3, True)


def test_a_count_says_what_is_wrong_with_its_address() -> None:
    lost, twice, unknown = requests(
        ("GET", f"{CHANNEL}/count", {"params": {"since": "zzz-1"}}),
        ("GET", f"{CHANNEL}/count?since=-1&since=-2", {}),
        ("GET", f"{CHANNEL}/count?limit=3", {}),
    )
    assert (lost.json()["count"], lost.json()["lost"]) == (0, "reset")
    assert (twice.status_code, "more than once" in twice.json()["detail"]) == (400, True)
    assert (unknown.status_code, "'limit' is unknown" in unknown.json()["detail"]) == (400, True)


def test_presence_is_empty_or_not_kept() -> None:
    assert request("GET", f"{CHANNEL}/presence").json() == {
        "channel": "chat.a",
        "count": 0,
        "members": [],
        "next": None,
    }
    refused = request("GET", "/v1/channels/logs.a/presence")
    assert (refused.status_code, "presence: true" in refused.json()["detail"]) == (404, True)


def test_a_type_is_described_with_its_schemas() -> None:
    (first, *_), chat = (
        request("GET", "/v1/types").json()["types"],
        request("GET", "/v1/types/chat").json(),
    )
    assert chat.keys() == {*first, "schemas"}
    assert (first["name"], first["signals"]) == ("chat", ["client", "producer"])
    assert chat["schemas"].keys() == {"accepted", "stored", "signal"}
    logs = request("GET", "/v1/types/logs").json()
    assert (logs["signals"], logs["schemas"].keys()) == ([], {"accepted", "stored"})
