"""server/connections/registry.py: renewal of credentials, counts by principal, and late keys."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from eventhub.auth.blocks import BlockTarget
from eventhub.auth.principal import STRANGER, CredentialKind
from eventhub.errors import TooManyConnections
from eventhub.server.security import jwks
from eventhub.session.deferred_messages import DEFERRED_MESSAGES
from tests.harness.credentials import jwk, private, token
from tests.harness.eventually import async_eventually
from tests.harness.jwks_server import JwksServer, reply
from tests.harness.loop import in_loop
from tests.unit.server.connections.token_node import (
    END,
    KEY,
    Node,
    codes,
    good,
)


@in_loop
async def test_a_stranger_becomes_the_owner_of_its_credential() -> None:
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
async def test_a_connection_keeps_its_principal(credential: str) -> None:
    node = Node()
    holder = node.connect(node.authentication.authenticate(good()))
    assert node.auth(holder, credential)[0]["code"] == "forbidden"
    assert (
        node.principal(holder).kind,
        node.principal(holder).name,
        node.principal(holder).expires,
    ) == (CredentialKind.TOKEN, "ana", END * 1000)


@in_loop
async def test_a_key_and_a_token_of_the_same_name_are_counted_separately() -> None:
    node = Node(limits={"connections_per_principal": 1})
    node.connect(node.authentication.authenticate(KEY))
    node.connect(node.authentication.authenticate(good()))
    node.connect(node.authentication.authenticate(good("key:ana")))
    with pytest.raises(TooManyConnections):
        node.connect(node.authentication.authenticate(good(exp=END + 1)))
    for _ in range(3):
        node.connect()


@in_loop
async def test_a_counted_request_counts_among_the_connections_of_its_principal() -> None:
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
async def test_a_stranger_is_counted_once_it_authenticates_and_stays_one_above_the_limit() -> None:
    node = Node(limits={"connections_per_principal": 1})
    first, second = node.connect(), node.connect()
    for _ in range(3):
        assert node.auth(first, good())[0]["type"] == "authenticated"
    assert node.auth(second, good())[0]["code"] == "too_many_connections"
    assert node.principal(second) is STRANGER
    first.leave()
    assert node.auth(second, good())[0]["type"] == "authenticated"


@in_loop
async def test_blocked_principals_are_disconnected_and_told_not_to_come_back() -> None:
    node = Node()
    by_token, by_key, other = (
        node.connect(node.authentication.authenticate(text)) for text in (good(), KEY, good("ben"))
    )
    target = BlockTarget("subject", "ana")
    node.authentication.blocks.decide(target, node.clock(), END * 1000)
    assert node.registry.disconnect(target, blocked=True) == 1
    assert (codes(by_token), codes(by_key), codes(other)) == (["revoked"], [], [])
    assert node.auth(node.connect(), good())[0]["code"] == "revoked"
    assert node.registry.disconnect(target, blocked=True) == 0


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
    """What a thread brings about."""
    await async_eventually("what is asked here", reached)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jwks, "COOLDOWN", 0.0)
    monkeypatch.setattr(jwks, "RETRY", (0.05, 0.1))


@in_loop
async def test_messages_after_a_token_wait_for_its_key() -> None:
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
async def test_a_connection_that_closes_during_a_key_fetch_is_forgotten(answer: int) -> None:
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
async def test_a_token_with_an_unknown_key_is_invalid_after_a_fetch() -> None:
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


@in_loop
async def test_a_connection_without_a_deadline_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Node(limits={"connections_per_principal": 1})
    principal = node.authentication.authenticate(KEY)

    def full(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(node.registry._expiry, "set", full)
        with pytest.raises(MemoryError):
            node.connect(principal)
    assert len(node.registry) == 0
    node.connect(principal)  # its slot is free


@in_loop
async def test_a_credential_that_was_checked_after_the_end_takes_no_slot() -> None:
    node = Node()
    holder = node.connect()
    (identity,) = node.registry
    holder.leave()
    decided: list[object] = []
    identity.authenticate(KEY, decided.append)
    assert len(decided) == 1
    assert identity.principal is STRANGER
    assert len(node.manager.connection_limits.principals) == 0
    assert len(node.manager.deadlines) == 0
