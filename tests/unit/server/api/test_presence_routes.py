"""The routes of presence: pages of members, and counts of a pattern."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from eventhub.auth.keys import hash_key
from eventhub.config.settings import Settings
from eventhub.delivery.subscriber import Subscriber
from eventhub.events.event import Latest
from eventhub.server.app import create_app
from tests.harness.builders import Nowhere
from tests.unit.server.api.requests import request

READER, ALL = "ehk_reader-0123456789ab", "ehk_all-0123456789ab-cd"
PEOPLE = {
    "chat.a": {"cem": b"", "ana": b'{"x":1}', 'b"b': b""},
    "chat.b": {"ana": b""},
    "iot.hall.t1": {"zoe": b""},
}


def settings(**more: Any) -> Settings:
    types: dict[str, Any] = {
        name: {"payload": "json", "presence": True} for name in ("chat", "iot")
    }
    types["logs"] = {"payload": "json"}
    return Settings.model_validate({"channels": types, **more})


def answers(*paths: str, key: str = "", settings: Settings) -> list[httpx.Response]:
    """What an application answers in whose channels PEOPLE are."""

    async def main() -> list[httpx.Response]:
        app = create_app(settings, Path())
        for channel, members in PEOPLE.items():
            for member, data in members.items():
                one = Subscriber(channel, Latest(), Nowhere(), lambda *_: None, member)
                app.hub.nodes.join(one)
                if data:
                    app.hub.nodes.update(one, data, 1)
        headers = {"authorization": f"Bearer {key}"} if key else {}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return [await client.get(path, headers=headers) for path in paths]

    return asyncio.run(main())


def test_members_are_in_order_of_their_ids_with_their_data() -> None:
    (found,) = answers("/v1/channels/chat.a/presence", settings=settings())
    assert found.json() == {
        "channel": "chat.a",
        "count": 3,
        "members": [{"id": "ana", "data": {"x": 1}}, {"id": 'b"b'}, {"id": "cem"}],
        "next": None,
    }


def test_members_are_read_page_by_page() -> None:
    path = "/v1/channels/chat.a/presence"
    first, rest, exact, beyond = answers(
        f"{path}?limit=2", f"{path}?after=b%22b", f"{path}?limit=3", f"{path}?after=zzz",
        settings=settings(limits={"page": 3}),
    )  # fmt: skip
    assert [[each["id"] for each in page.json()["members"]] for page in (first, rest)] == [
        ["ana", 'b"b'],
        ["cem"],
    ]
    assert [page.json()["next"] for page in (first, rest, exact)] == ['b"b', None, None]
    assert (beyond.json()["members"], beyond.json()["count"]) == ([], 3)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=4", "limit=x", "member=ana", "after=a&after=b"]
)
def test_an_address_of_members_that_is_wrong_is_refused(query: str) -> None:
    found = request("GET", f"/v1/channels/chat.a/presence?{query}", settings(limits={"page": 3}))
    assert (found.status_code, found.json()["code"]) == (400, "invalid_request")


def test_the_members_of_a_pattern_are_counted() -> None:
    every, chat, below, none = answers(
        "/v1/presence", "/v1/presence?match=chat.*", "/v1/presence?match=iot.>",
        "/v1/presence?match=logs.>", settings=settings(),
    )  # fmt: skip
    assert every.json() == {"match": ">", "channels": 3, "count": 5, "distinct": 4}
    assert chat.json() == {"match": "chat.*", "channels": 2, "count": 4, "distinct": 3}
    assert below.json() == {"match": "iot.>", "channels": 1, "count": 1, "distinct": 1}
    assert none.json() == {"match": "logs.>", "channels": 0, "count": 0, "distinct": 0}


def test_only_channels_whose_members_may_be_seen_are_counted() -> None:
    keys = [
        {"name": "reader", "hash": hash_key(READER), "presence": ["chat.b", "logs.>"]},
        {"name": "nobody", "hash": hash_key(ALL), "subscribe": [">"]},
    ]
    guarded = settings(auth={"keys": keys})
    (some,) = answers("/v1/presence", key=READER, settings=guarded)
    (nothing,) = answers("/v1/presence", key=ALL, settings=guarded)
    (stranger,) = answers("/v1/presence", settings=guarded)
    assert some.json() == {"match": ">", "channels": 1, "count": 1, "distinct": 1}
    assert nothing.json()["count"] == 0
    assert (stranger.status_code, stranger.json()["code"]) == (401, "unauthorized")


@pytest.mark.parametrize("query", ["match=iot..x", "match=", "pattern=x", "match=a&match=b"])
def test_an_address_of_counts_that_is_wrong_is_refused(query: str) -> None:
    found = request("GET", f"/v1/presence?{query}", settings())
    assert (found.status_code, found.json()["code"]) == (400, "invalid_request")
