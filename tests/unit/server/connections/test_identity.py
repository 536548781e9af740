"""server/connections/identity.py: who is at the other end of each connection, for how long, and
when keys come late.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest

from eventhub.auth.blocks import BlockTarget
from eventhub.auth.keys import hash_key
from eventhub.auth.principal import STRANGER, CredentialKind, Principal
from eventhub.brokers.memory import MemoryBroker
from eventhub.config.loader import channel_types
from eventhub.config.settings import Settings
from eventhub.delivery.encoding import LINES, Encoding
from eventhub.errors import EventHubError, ShuttingDown, TooManyConnections
from eventhub.hub.hub import Hub
from eventhub.observability.metrics import Metrics
from eventhub.server.connections.deadlines import Deadlines
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.security import jwks
from eventhub.server.security.authentication import Authentication
from eventhub.session.deferred import DEFERRED_MESSAGES
from eventhub.session.session import Session
from tests.credentials import SECRET, jwk, private, token
from tests.jwks_server import JwksServer, reply
from tests.loop import in_loop

KEY = "ehk_ana-0123456789"
KEYS = [
    {"name": "ana", "hash": hash_key(KEY), "subscribe": [">"]},
    {"name": "short", "hash": hash_key(KEY + "s"), "expires": "2033-05-18T03:33:20Z"},
]
FIRST_SECONDS = Settings().limits.first_frame_seconds
END = 2_000_000_000
"""In seconds: when tokens here, and the key `short`, end."""


@dataclass
class Clock:
    """Milliseconds, set by the test."""

    now: int = (END - 600) * 1000

    def __call__(self) -> int:
        return self.now


class Loop:
    """A loop whose time is that of the clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.timers: list[tuple[float, Callable[[int], object], int]] = []

    def time(self) -> float:
        return self.clock.now / 1000

    def call_at(self, when: float, callback: Callable[..., object], /, *arguments: Any) -> None:
        self.timers.append((when, callback, *arguments))

    def call_soon(self, callback: Callable[..., object], /, *arguments: Any) -> None:
        self.call_at(self.time(), callback, *arguments)

    def run(self, until: float) -> None:
        while due := sorted(
            (timer for timer in self.timers if timer[0] <= until), key=lambda timer: timer[0]
        ):
            self.timers.remove(due[0])
            when, callback, second = due[0]
            self.clock.now = max(self.clock.now, int(when * 1000))
            callback(second)
        self.clock.now = int(until * 1000)


@dataclass(eq=False)
class Holder:
    """A connection that keeps what is written to it, and why it was ended."""

    transport: str = "websocket"
    encoding: Encoding = LINES
    full: bool = False
    data: bytes = b""
    failed: list[EventHubError] = field(default_factory=list)
    manager: ConnectionManager | None = None
    why: str = ""
    session: Session | None = None

    def write(self, data: bytes) -> None:
        self.data += data

    def heard(self) -> list[dict[str, Any]]:
        """The messages since the last call."""
        data, self.data = self.data, b""
        return [orjson.loads(line) for line in data.splitlines()]

    def fail(self, error: EventHubError) -> None:
        self.failed.append(error)
        self.leave()

    def leave(self) -> None:
        assert self.manager is not None
        self.manager.closed(self)
        if self.session is not None:
            self.session.close()

    def buffered(self) -> int:
        return 0

    def beat(self) -> None: ...

    def goodbye(self, error: ShuttingDown) -> None: ...

    def abort(self) -> None: ...


class Node:
    """A gateway whose clock a test sets."""

    def __init__(self, **fields: Any) -> None:
        auth = {
            "keys": KEYS,
            "tokens": {"keys": [{"algorithm": "HS256", "secret": SECRET.decode()}], "leeway": 0},
            **fields.pop("auth", {}),
        }
        self.clock = Clock()
        settings = Settings(auth=auth, **fields)
        types = channel_types(settings, Path())
        self.hub = Hub(
            types,
            MemoryBroker(lambda channel: types.resolve(channel).retention, self.clock),
            Metrics(kind.name for kind in types),
        )
        self.hub.now = self.clock  # type: ignore[method-assign]  # the hub's is that of the machine
        self.authentication = Authentication(settings.auth, Path(), self.clock)
        self.manager = ConnectionManager(settings, self.hub, self.authentication)
        self.loop = Loop(self.clock)
        self.manager.deadlines = Deadlines(self.loop, self.hub.faults)
        self.registry = self.manager.registry

    def connect(self, principal: Principal = STRANGER) -> Holder:
        """A connection of theirs with a session."""
        holder = Holder(manager=self.manager)
        identity = self.registry.new_identity(principal, "192.0.2.1")
        session = self.manager.session(holder, lambda ref, event: None, identity)
        self.manager.opened(holder, identity, session)
        holder.session = session
        return holder

    def auth(self, holder: Holder, credential: str) -> list[dict[str, Any]]:
        """What a connection hears when it sends this."""
        assert holder.session is not None
        holder.session.receive(orjson.dumps({"type": "auth", "token": credential}))
        return holder.heard()

    def principal(self, holder: Holder) -> Principal:
        return self.manager._connections[holder].principal

    def reach(self, second: float) -> None:
        """It is so late."""
        self.loop.run(second)


def good(sub: str = "ana", exp: int = END, **more: Any) -> str:
    return token(sub=sub, exp=exp, **more)


def codes(holder: Holder) -> list[str]:
    return [error.code for error in holder.failed]


# The end of a credential


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
async def test_a_shorter_token_shortens_the_stay() -> None:
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
async def test_a_token_is_warned_of_when_half_of_its_life_is_over_and_not_before(
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
    begin, asked = END - 600, 0
    holder = node.connect(node.authentication.authenticate(good(exp=begin + lifetime)))
    for tick in range(4 * 60):
        node.reach(begin + tick / 4)
        if any(message["type"] == "expiring" for message in holder.heard()):
            asked += 1
            node.auth(holder, good(exp=begin + math.ceil(tick / 4) + lifetime))
    assert holder.failed == []
    assert asked <= 60 / (lifetime / 2)


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
        node.reach(node.clock() / 1000 + 1)
        assert holder.heard() == []
    node.reach(END - earlier)
    assert codes(holder) == ["token_expired"]


@in_loop
async def test_keys_end_as_tokens_do() -> None:
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
async def test_whoever_has_left_is_not_looked_after() -> None:
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


# Strangers


CLOSED: dict[str, Any] = {"channels": {"a": {}}}
OPEN: dict[str, Any] = {"channels": {"a": {"anonymous": ["subscribe"]}}}


@in_loop
async def test_where_strangers_may_do_nothing_they_are_dismissed_unless_they_say_who_they_are() -> (
    None
):
    node = Node(**CLOSED)
    start = node.clock.now / 1000
    stranger, later = node.connect(), node.connect()
    node.reach(start + FIRST_SECONDS - 1)
    node.auth(later, good())
    assert stranger.failed == []
    node.reach(start + FIRST_SECONDS)
    assert codes(stranger) == ["unauthorized"]
    assert "within 30 seconds" in stranger.failed[0].message
    assert later.failed == []


@in_loop
async def test_a_bad_token_does_not_lengthen_the_stay_of_a_stranger() -> None:
    node = Node(**CLOSED)
    stranger = node.connect()
    node.reach(node.clock.now / 1000 + FIRST_SECONDS - 1)
    node.auth(stranger, "bad")
    node.reach(node.clock.now / 1000 + 1)
    assert codes(stranger) == ["unauthorized"]


@in_loop
async def test_where_strangers_may_do_something_or_there_is_no_authentication_they_may_stay() -> (
    None
):
    for node in (Node(**OPEN), Node(**CLOSED, auth={"keys": [], "tokens": {}})):
        stranger = node.connect(node.authentication.nobody)
        node.reach(END * 2)
        assert stranger.failed == []


# Who it is


@in_loop
async def test_a_stranger_becomes_whoever_has_the_credential() -> None:
    node = Node()
    holder = node.connect()
    assert node.auth(holder, good())[0] == {
        "type": "authenticated",
        "principal": "ana",
        "expires_in": 600.0,
    }
    assert node.principal(holder).kind is CredentialKind.TOKEN
    other = node.connect()
    assert node.auth(other, KEY)[0] == {"type": "authenticated", "principal": "ana"}
    assert node.principal(other).kind is CredentialKind.KEY


@pytest.mark.parametrize("credential", [KEY, good("ben"), good("key:ana"), good("ANA")])
@in_loop
async def test_a_connection_never_changes_hands(credential: str) -> None:
    node = Node()
    holder = node.connect(node.authentication.authenticate(good()))
    assert node.auth(holder, credential)[0]["code"] == "forbidden"
    assert (
        node.principal(holder).kind,
        node.principal(holder).name,
        node.principal(holder).expires,
    ) == (CredentialKind.TOKEN, "ana", END * 1000)


@in_loop
async def test_a_key_and_a_token_of_one_name_are_counted_apart() -> None:
    node = Node(limits={"connections_per_principal": 1})
    node.connect(node.authentication.authenticate(KEY))
    node.connect(node.authentication.authenticate(good()))
    node.connect(node.authentication.authenticate(good("key:ana")))
    with pytest.raises(TooManyConnections):
        node.connect(node.authentication.authenticate(good(exp=END + 1)))
    for _ in range(3):
        node.connect()


@in_loop
async def test_a_seat_counts_among_the_connections_of_its_principal_while_it_lasts() -> None:
    node = Node(limits={"connections_per_principal": 1})
    ana = node.authentication.authenticate(good())
    with (
        node.registry.counted(ana),
        node.registry.counted(node.authentication.authenticate(KEY)),
        node.registry.counted(STRANGER),
        node.registry.counted(STRANGER),
    ):
        with pytest.raises(TooManyConnections), node.registry.counted(ana):
            pass
        with pytest.raises(TooManyConnections):
            node.connect(ana)
    with pytest.raises(TimeoutError), node.registry.counted(ana):
        raise TimeoutError
    holder = node.connect(ana)
    with pytest.raises(TooManyConnections), node.registry.counted(ana):
        pass
    holder.leave()
    assert len(node.manager.connection_limits.principals) == 0


@in_loop
async def test_a_stranger_is_counted_from_when_it_says_who_it_is_and_stays_one_when_there_are_too_many() -> (
    None
):
    node = Node(limits={"connections_per_principal": 1})
    first, second = node.connect(), node.connect()
    for _ in range(3):
        assert node.auth(first, good())[0]["type"] == "authenticated"
    assert node.auth(second, good())[0]["code"] == "too_many_connections"
    assert node.principal(second) is STRANGER
    first.leave()
    assert node.auth(second, good())[0]["type"] == "authenticated"


@in_loop
async def test_those_who_are_shut_out_are_disconnected_and_do_not_come_back() -> None:
    node = Node()
    by_token, by_key, other = (
        node.connect(node.authentication.authenticate(text)) for text in (good(), KEY, good("ben"))
    )
    target = BlockTarget("subject", "ana")
    node.authentication.blocks.decide(target, node.clock.now, END * 1000)
    assert node.registry.disconnect(target, blocked=True) == 1
    assert (codes(by_token), codes(by_key), codes(other)) == (["revoked"], [], [])
    assert node.auth(node.connect(), good())[0]["code"] == "revoked"
    assert node.registry.disconnect(target, blocked=True) == 0


# Keys that come late


@asynccontextmanager
async def running(node: Node) -> AsyncIterator[None]:
    """With the tasks of a server."""
    assert node.authentication.key_set is not None
    tasks = [
        asyncio.create_task(work) for work in (node.hub.run(), node.authentication.key_set.run())
    ]
    await node.hub.started.wait()
    yield
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def fetching(server: JwksServer) -> Node:
    return Node(auth={"tokens": {"jwks": server.url, "issuer": "i", "audience": "a", "leeway": 0}})


def theirs(number: int = 1, **more: Any) -> str:
    return token(
        "RS256",
        private("RS256", number),
        header={"kid": str(number)},
        exp=END,
        iss="i",
        aud="a",
        **more,
    )


async def until(reached: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not reached():  # noqa: ASYNC110  # what is waited for happens in a thread
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "COOLDOWN", 0.0)
    monkeypatch.setattr(jwks, "RETRY", (0.05, 0.1))


@in_loop
async def test_what_is_sent_behind_a_token_waits_for_its_key() -> None:
    with JwksServer(jwk("RS256", "1", 1)) as server:
        server.open.clear()
        node = fetching(server)
        async with running(node):
            holder = node.connect()
            assert holder.session is not None
            assert node.auth(holder, theirs()) == []
            for number in range(DEFERRED_MESSAGES):
                holder.session.receive(orjson.dumps({"type": "ping", "ref": number}))
            assert holder.heard() == []
            server.open.set()
            await until(lambda: holder.data)
            kinds = [message["type"] for message in holder.heard()]
            assert kinds == ["authenticated", *["pong"] * DEFERRED_MESSAGES]


@pytest.mark.parametrize("answer", [200, 500])
@in_loop
async def test_whoever_leaves_while_a_key_is_looked_for_is_forgotten(answer: int) -> None:
    with JwksServer(jwk("RS256", "1", 1)) as server:
        server.open.clear()
        server.respond = None if answer == 200 else lambda request: reply(request, b"", answer)
        node = fetching(server)
        async with running(node):
            gone, here = node.connect(), node.connect()
            for holder in (gone, here):
                node.auth(holder, theirs())
            gone.leave()
            server.open.set()
            await until(lambda: here.data)
            assert (gone.data, gone.failed, len(list(node.registry))) == (b"", [], 1)
            assert here.heard()[0].get("code") == (None if answer == 200 else "keys_unavailable")
            assert len(node.manager.connection_limits.principals) == (1 if answer == 200 else 0)


@in_loop
async def test_a_connection_that_is_waiting_for_a_key_still_ends_with_its_old_token() -> None:
    with JwksServer(jwk("RS256", "1", 1)) as server:
        node = fetching(server)
        async with running(node):
            await until(lambda: node.authentication.unready() is None)
            holder = node.connect(node.authentication.authenticate(theirs()))
            server.open.clear()
            assert node.auth(holder, theirs(2)) == []
            node.reach(END)
            assert codes(holder) == ["token_expired"]
            assert [message["type"] for message in holder.heard()] == ["expiring"]
            server.open.set()
            await until(lambda: len(server.requests) == 2)
            assert holder.data == b""


@in_loop
async def test_a_key_that_is_nowhere_makes_the_token_bad() -> None:
    with JwksServer(jwk("RS256", "1", 1)) as server:
        node = fetching(server)
        async with running(node):
            await until(lambda: node.authentication.unready() is None)
            holder = node.connect()
            node.auth(holder, theirs(2))
            await until(lambda: holder.data)
            assert holder.heard()[0]["code"] == "invalid_token"
            node.auth(holder, theirs())
            assert node.principal(holder).name == "ana"
