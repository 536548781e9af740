"""server/connections/credential_expiry.py: when a credential ends, and when a stranger must go."""

import math
from typing import Any

import pytest

from eventhub.server.connections.deadlines import Deadlines
from tests.harness.clock import Clock
from tests.harness.credentials import SECRET
from tests.harness.loop import in_loop
from tests.unit.server.connections.token_node import (
    END,
    FIRST_SECONDS,
    KEY,
    Holder,
    Node,
    codes,
    good,
)


@in_loop
async def test_a_connection_is_warned_and_ends_with_its_token() -> None:
    node = Node()
    holder = node.connect(node.authentication.authenticate(good()))
    node.reach(END - 31)
    assert holder.heard() == []
    node.reach(END - 30)
    assert holder.heard() == [{"type": "expiring", "expires_in": 30.0}]
    node.reach(END - 1)
    assert (holder.heard(), holder.failed) == ([], [])
    node.reach(END)
    assert codes(holder) == ["token_expired"]
    assert (len(list(node.registry)), len(node.manager.deadlines)) == (0, 0)


@in_loop
async def test_a_new_token_in_time_keeps_the_connection() -> None:
    node = Node()
    holder = node.connect(node.authentication.authenticate(good()))
    node.reach(END - 30)
    holder.heard()
    assert [message["type"] for message in node.auth(holder, good(exp=END + 1000))] == [
        "authenticated"
    ]
    node.reach(END + 500)
    assert (holder.heard(), holder.failed) == ([], [])
    node.reach(END + 1000)
    assert codes(holder) == ["token_expired"]


@in_loop
async def test_a_token_that_ends_earlier_ends_the_connection_earlier() -> None:
    node = Node()
    holder = node.connect(node.authentication.authenticate(good(exp=END + 1000)))
    node.auth(holder, good())
    node.reach(END)
    assert codes(holder) == ["token_expired"]


def warning_at(seconds: float, leeway: float = 0) -> dict[str, Any]:
    """The `auth` of a node that warns so long before the end."""
    key = {"algorithm": "HS256", "secret": SECRET.decode()}
    return {"tokens": {"keys": [key], "leeway": leeway, "warning": seconds}}


@in_loop
@pytest.mark.parametrize("leeway", [0, 5])
@pytest.mark.parametrize("lifetime", [1, 2, 10, 59, 61, 600])
async def test_a_short_token_is_warned_of_after_half_of_its_life(
    lifetime: int, leeway: int
) -> None:
    node = Node(auth=warning_at(30, leeway))
    begin = END - 600
    holder = node.connect(node.authentication.authenticate(good(exp=begin + lifetime)))
    left = min(30, (lifetime + leeway) / 2)
    due = begin + lifetime + leeway - left
    node.reach(due - 0.01)
    assert holder.heard() == []
    node.reach(due + 0.25)
    assert holder.heard() == [{"type": "expiring", "expires_in": pytest.approx(left, abs=0.25)}]


@in_loop
@pytest.mark.parametrize("lifetime", [1, 2, 10, 60])
async def test_a_client_that_renews_when_it_is_warned_asks_for_a_token_once_in_half_a_life(
    lifetime: int,
) -> None:
    node = Node(auth=warning_at(30))
    begin, had = END - 600, list[float]()
    since, end = begin + 0.0, begin + lifetime
    holder = node.connect(node.authentication.authenticate(good(exp=end)))
    for tick in range(4 * 120):
        node.reach(begin + tick / 4)
        if any(message["type"] == "expiring" for message in holder.heard()):
            had.append((node.clock.now - since) / (end - since))
            since, end = node.clock.now, math.ceil(node.clock.now) + lifetime
            node.auth(holder, good(exp=end))
    assert holder.failed == []
    assert had
    assert all(0.5 <= part < 0.5 + 0.5 / lifetime for part in had), "a tick late at most"


@in_loop
@pytest.mark.parametrize("earlier", [0, 1])
async def test_a_client_that_answers_with_a_token_that_ends_no_later_is_not_warned_again(
    earlier: int,
) -> None:
    node = Node(auth=warning_at(30))
    holder = node.connect(node.authentication.authenticate(good(exp=END)))
    node.reach(END - 30)
    assert [message["type"] for message in holder.heard()] == ["expiring"]
    for _ in range(20):
        said = [message["type"] for message in node.auth(holder, good(exp=END - earlier))]
        assert said == ["authenticated"]
        node.reach(node.clock.now + 1)
        assert holder.heard() == []
    node.reach(END - earlier)
    assert codes(holder) == ["token_expired"]


@in_loop
async def test_api_keys_end_as_tokens_do() -> None:
    node = Node()
    holder = node.connect(node.authentication.authenticate(KEY + "s"))
    node.reach(END)
    assert codes(holder) == ["token_expired"]
    forever = node.connect(node.authentication.authenticate(KEY))
    node.reach(END * 2)
    assert forever.failed == []


@in_loop
async def test_a_connection_without_a_session_ends_without_a_warning() -> None:
    node = Node()
    holder = Holder(transport="producer", manager=node.manager)
    node.manager.opened(
        holder, node.registry.new_identity(node.authentication.authenticate(good()), "")
    )
    node.reach(END - 30)
    assert holder.failed == []
    node.reach(END)
    assert codes(holder) == ["token_expired"]


@in_loop
async def test_a_closed_connection_has_no_deadline() -> None:
    node = Node()
    holder = node.connect(node.authentication.authenticate(good()))
    holder.leave()
    holder.leave()
    node.reach(END)
    assert (
        holder.failed,
        holder.data,
        len(node.manager.deadlines),
        len(node.manager.connection_limits.principals),
    ) == ([], b"", 0, 0)


CLOSED: dict[str, Any] = {"channels": {"a": {}}}


OPEN: dict[str, Any] = {"channels": {"a": {"anonymous": ["subscribe"]}}}


@in_loop
async def test_where_strangers_may_do_nothing_they_are_dismissed_unless_they_authenticate() -> None:
    node = Node(**CLOSED)
    start = node.clock.now
    stranger, later = node.connect(), node.connect()
    node.reach(start + FIRST_SECONDS - 1)
    node.auth(later, good())
    assert stranger.failed == []
    node.reach(start + FIRST_SECONDS)
    assert codes(stranger) == ["unauthorized"]
    assert "within 30 seconds" in stranger.failed[0].message
    assert later.failed == []


@in_loop
async def test_a_bad_token_does_not_move_the_deadline_of_a_stranger() -> None:
    node = Node(**CLOSED)
    stranger = node.connect()
    node.reach(node.clock.now + FIRST_SECONDS - 1)
    node.auth(stranger, "bad")
    node.reach(node.clock.now + 1)
    assert codes(stranger) == ["unauthorized"]


@in_loop
async def test_strangers_may_stay_where_they_may_do_something_or_without_authentication() -> None:
    for node in (Node(**OPEN), Node(**CLOSED, auth={"keys": [], "tokens": {}})):
        stranger = node.connect(node.authentication.nobody)
        node.reach(END * 2)
        assert stranger.failed == []


@in_loop
async def test_a_client_that_keeps_its_token_is_warned_once() -> None:
    node = Node(auth=warning_at(30))
    holder = node.connect(node.authentication.authenticate(good()))
    node.reach(END - 30)
    assert [message["type"] for message in holder.heard()] == ["expiring"]
    assert [message["type"] for message in node.auth(holder, good())] == ["authenticated"]
    node.reach(END - 0.5)
    assert holder.heard() == []
    node.reach(END)
    assert codes(holder) == ["token_expired"]


@in_loop
async def test_a_credential_that_ended_before_its_warning_ends_without_one() -> None:
    node = Node()
    holder = node.connect(node.authentication.authenticate(good()))
    node.clock.now = END  # the machine slept
    node.reach(END + 1)
    assert holder.heard() == []
    assert codes(holder) == ["token_expired"]


@in_loop
async def test_a_credential_is_not_over_while_the_wall_clock_is_before_its_end() -> None:
    node = Node()
    loop = Clock(node.clock.now)
    node.manager.deadlines = Deadlines(loop, node.hub.faults)
    holder = node.connect(node.authentication.authenticate(good()))
    node.clock.now = END - 10  # it was set back
    loop.reach(END)
    assert holder.failed == []
    node.clock.now = END
    loop.reach(END + 10)
    assert codes(holder) == ["token_expired"]


@in_loop
async def test_a_stranger_that_shows_a_key_without_an_end_may_stay() -> None:
    node = Node(**CLOSED)
    holder = node.connect()
    node.auth(holder, KEY)
    node.reach(node.clock.now + 2 * FIRST_SECONDS)
    assert holder.failed == []
