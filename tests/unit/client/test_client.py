"""eventhub_client/client.py: the calls of both hubs, with a fake server."""

import asyncio
from collections.abc import Mapping
from itertools import count
from pathlib import Path

import httpx
import pytest

from eventhub_client.async_transport import AsyncRuntime
from eventhub_client.attempts import Rules
from eventhub_client.client import Client, subscription_of
from eventhub_client.credentials import Credentials
from eventhub_client.cursors import FileCursor
from eventhub_client.errors import Unauthorized, Unavailable
from eventhub_client.publishing import Delivery, publish_one
from eventhub_client.steps import Answer, Request, Unreachable
from eventhub_client.sync_transport import SyncRuntime
from eventhub_client.transport import Socket, run

STORED = Answer(201, {"id": "k-1", "channel": "a.b", "time": "2026-11-22T20:06:00.123Z"})
EXPIRED = Answer(401, {"code": "token_expired"})


class Server:
    """Accepts one token, and says of any other one that it has ended."""

    def __init__(self, accepted: str) -> None:
        self.accepted = accepted
        self.seen: list[str | None] = []

    async def request(
        self, url: str, request: Request, headers: Mapping[str, str]
    ) -> Answer | Unreachable:
        sent = headers.get("authorization")
        self.seen.append(sent)
        await asyncio.sleep(0)
        return STORED if sent == f"Bearer {self.accepted}" else EXPIRED

    async def open(self, url: str, headers: Mapping[str, str]) -> Socket:
        raise AssertionError

    async def close(self) -> None: ...


class PlainServer(Server):
    async def request(
        self, url: str, request: Request, headers: Mapping[str, str]
    ) -> Answer | Unreachable:
        self.seen.append(headers.get("authorization"))
        return STORED if self.seen[-1] == f"Bearer {self.accepted}" else EXPIRED


def test_many_publishes_whose_token_has_ended_ask_for_one_new_token() -> None:
    numbers, server = count(1), Server("token-2")

    async def main() -> None:
        client = Client(
            "http://hub", lambda: f"token-{next(numbers)}", None, server, AsyncRuntime()
        )
        steps = (publish_one("a.b", 1, Delivery(), client.rules) for _ in range(20))
        await asyncio.gather(*(client.call(each) for each in steps))

    asyncio.run(main())
    assert next(numbers) == 3
    assert server.seen.count("Bearer token-2") == 20


def test_a_token_that_stays_expired_is_an_error() -> None:
    client = Client("http://hub", lambda: "old", None, PlainServer("new"), SyncRuntime())
    with pytest.raises(Unauthorized):
        run(client.call(publish_one("a.b", 1, Delivery(), client.rules)))


def test_a_login_service_that_is_away_when_a_token_has_ended_leaves_that_error() -> None:
    tokens = ["old"]

    def token() -> str:
        if not tokens:
            raise OSError("no route")
        return tokens.pop()

    client = Client("http://hub", token, None, PlainServer("new"), SyncRuntime())
    with pytest.raises(Unauthorized):
        run(client.call(publish_one("a.b", 1, Delivery(), client.rules)))


def test_the_newest_reply_says_what_the_trouble_is() -> None:
    client = Client("http://hub", "old", None, PlainServer("new"), SyncRuntime())
    assert client.trouble is None
    with pytest.raises(Unauthorized):
        run(client.call(publish_one("a.b", 1, Delivery(), client.rules)))
    assert client.trouble is not None
    assert client.trouble.code == "token_expired"
    client.credentials = Credentials("new", None, client.runtime.alone)
    run(client.call(publish_one("a.b", 1, Delivery(), client.rules)))
    assert client.trouble is None


def test_a_follower_begins_where_its_cursor_says(tmp_path: Path) -> None:
    cursor = FileCursor(tmp_path / "cursor.json")
    cursor.store({"a.b": "k-7"})
    assert subscription_of(("a.b",), "latest", cursor).positions == {"a.b": "k-7"}
    assert subscription_of(("a.b",), "latest", None).positions == {}


@pytest.mark.parametrize("failure", [OSError("no route"), httpx.ConnectError("no route")])
def test_a_login_service_that_is_away_is_asked_again_until_the_timeout(failure: Exception) -> None:
    asked: list[int] = []

    def token() -> str:
        asked.append(1)
        if len(asked) == 1:
            raise failure
        return "new"

    client = Client("http://hub", token, None, PlainServer("new"), SyncRuntime())
    client.rules = Rules(random=lambda: 1.0)
    with pytest.raises(Unavailable, match="no route"):
        run(client.call(publish_one("a.b", 1, Delivery(timeout=0.001), client.rules)))
    receipt = run(client.call(publish_one("a.b", 1, Delivery(), client.rules)))
    assert (receipt.id, len(asked)) == ("k-1", 2)


def test_any_other_error_of_a_token_function_is_the_application_s() -> None:
    def token() -> str:
        raise KeyError("login")

    client = Client("http://hub", token, None, PlainServer("new"), SyncRuntime())
    with pytest.raises(KeyError):
        run(client.call(publish_one("a.b", 1, Delivery(), client.rules)))
