"""eventhub_client/link.py: the steps of a follower on its connections, with recorded sockets."""

import json
import logging
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from eventhub_client.address import Address
from eventhub_client.credentials import Credentials, Token
from eventhub_client.link import Link
from eventhub_client.members import Membership
from eventhub_client.steps import (
    Answer,
    Close,
    Connect,
    Connected,
    Join,
    LinkStep,
    Receive,
    Received,
    RenewToken,
    Reply,
    Request,
    Send,
    Unreachable,
    Wait,
    Warn,
)
from eventhub_client.sync_transport import SyncRuntime
from eventhub_client.transport import run

PONG = Received({"type": "pong"})


class Connection:
    """What was sent on a WebSocket."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.soon: list[Any] = []
        self.waits: list[float] = []
        self.is_open = True

    async def receive(self, seconds: float) -> Reply:
        self.waits.append(seconds)
        return PONG

    async def send(self, text: str) -> None:
        self.sent.append(json.loads(text))

    def send_soon(self, text: str) -> None:
        self.soon.append(json.loads(text))

    async def close(self) -> None:
        self.is_open = False


class Server:
    """Opens WebSockets, unless it has a failure."""

    def __init__(self) -> None:
        self.opened: list[tuple[str, Mapping[str, str], Connection]] = []
        self.failure: Exception | None = None

    async def request(
        self, url: str, request: Request, headers: Mapping[str, str]
    ) -> Answer | Unreachable:
        raise AssertionError

    async def open(self, url: str, headers: Mapping[str, str]) -> Connection:
        if self.failure is not None:
            raise self.failure
        self.opened.append((url, headers, Connection()))
        return self.opened[-1][2]

    async def close(self) -> None: ...

    @property
    def newest(self) -> Connection:
        return self.opened[-1][2]


class Waits(SyncRuntime):
    """Remembers how long it would have slept."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Follow:
    """A link, and what it talks to."""

    def __init__(self, token: Token | None = None, member: Membership | None = None) -> None:
        self.server, self.runtime = Server(), Waits()
        credentials = Credentials(token, None, self.runtime.alone)
        self.link = Link(Address.of("http://hub"), credentials, self.server, self.runtime, member)

    def take(self, *steps: LinkStep) -> Reply:
        """The reply to the last one."""
        return [run(self.link.take(step)) for step in steps][-1]


def test_messages_go_out_in_their_order_and_a_received_one_is_the_reply() -> None:
    follow = Follow("token")
    assert follow.take(Connect()) == Connected()
    (url, headers, connection) = follow.server.opened[0]
    assert (url, dict(headers)) == ("ws://hub/v1/ws", {"authorization": "Bearer token"})
    assert follow.take(Send(({"n": 1}, {"n": 2})), Receive(25.0)) == PONG
    assert (connection.sent, connection.waits) == ([{"n": 1}, {"n": 2}], [25.0])


def test_a_wait_sleeps_and_a_warning_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    follow = Follow()
    follow.take(Wait(2.5), Warn("the filter fails"))
    assert follow.runtime.slept == [2.5]
    assert caplog.messages == ["the filter fails"]


def test_each_connection_has_a_new_token_and_the_one_before_is_closed() -> None:
    numbers = count(1)
    follow = Follow(lambda: f"token-{next(numbers)}")
    follow.take(Connect(), Close(), Connect())
    assert [headers["authorization"] for _, headers, _ in follow.server.opened] == [
        "Bearer token-1",
        "Bearer token-2",
    ]
    assert [connection.is_open for *_, connection in follow.server.opened] == [False, True]
    run(follow.link.close())
    assert not follow.server.newest.is_open


@pytest.mark.parametrize("failure", [OSError("no route"), TimeoutError(), EOFError()])
def test_a_server_that_cannot_be_reached_is_the_reply(failure: Exception) -> None:
    follow = Follow()
    follow.server.failure = failure
    assert isinstance(follow.take(Connect()), Unreachable)
    follow.take(Close())


def test_a_new_token_is_sent_on_the_open_connection() -> None:
    numbers = count(1)
    follow = Follow(lambda: f"token-{next(numbers)}")
    follow.take(Connect(), RenewToken())
    assert follow.server.newest.sent == [{"type": "auth", "ref": "auth", "token": "token-2"}]


def test_a_login_service_that_is_away_leaves_the_connection_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tokens = ["token-1"]

    def token() -> str:
        if not tokens:
            raise OSError("no route")
        return tokens.pop()

    follow = Follow(token)
    with caplog.at_level(logging.WARNING, "eventhub_client"):
        follow.take(Connect(), RenewToken())
    assert (follow.server.newest.sent, follow.server.newest.is_open) == ([], True)
    assert caplog.messages == ["no new token: no route"]


def test_an_update_of_the_member_goes_to_each_channel_while_it_is_connected() -> None:
    member = Membership("ana")
    follow = Follow(member=member)
    follow.take(Connect(), Join(("a.b", "c.d"), 0))
    first = follow.server.newest
    member.update({"at": 1})
    update = {"type": "update", "ref": "update", "data": {"at": 1}}
    assert first.soon == [{**update, "channel": "a.b"}, {**update, "channel": "c.d"}]
    follow.take(Close())
    member.update({"at": 2})
    follow.take(Connect(), Join(("a.b",), 2))
    assert follow.server.newest.soon == [], "the subscription has had this version"
    member.update({"at": 3})
    assert [each["data"] for each in follow.server.newest.soon] == [{"at": 3}]
    assert len(first.soon) == 2
