"""Connections that open with the head of an earlier one: the same happens, without parsing."""

import base64
import re
from typing import Any

import pytest

from eventhub.server.websocket import upgrade
from eventhub.server.websocket.handshake import HandshakeResult, accept_of, negotiate
from tests.harness.clients import masked
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.http.connection import UPGRADE
from tests.unit.server.http.lane_node import WITH_KEYS, Connection, Node, running

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HEAD = UPGRADE.replace(b"/v1/ws", b"/v1/ws?channel=raw.a")
SESSION = re.compile(rb'"session":"[^"]+"|"position":"[^"]+"')


class Parsed:
    """Counts the heads that were checked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0

        def counted(*arguments: Any) -> HandshakeResult:
            self.count += 1
            return negotiate(*arguments)

        monkeypatch.setattr(upgrade, "negotiate", counted)


def key_of(number: int) -> bytes:
    return base64.b64encode(bytes([number] * 16))


def head(number: int, before: bytes = HEAD) -> bytes:
    return before.replace(KEY, key_of(number))


async def opened(node: Node, *reads: bytes) -> Connection:
    """A connection with what it is sent, until it is quiet."""
    client = node.connect()
    for data in reads:
        receive = client.transport.protocol or client.protocol
        receive.data_received(data)  # type: ignore[attr-defined]  # either has it
    await turns()
    return client


def said(client: Connection, number: int) -> bytes:
    """What it was sent, without what differs from connection to connection."""
    answer = client.transport.written
    assert accept_of(key_of(number)) in answer
    return SESSION.sub(b"", answer.replace(accept_of(key_of(number)), b"ACCEPT"))


@in_virtual_time
async def test_the_second_connection_gets_what_the_first_got_and_its_head_is_not_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed = Parsed(monkeypatch)
    async with running() as node:
        first = await opened(node, head(1))
        second = await opened(node, head(2))
        assert parsed.count == 1
        assert said(first, 1) == said(second, 2)
        assert b'"type":"subscribed","channel":"raw.a"' in second.transport.written
        assert len(node.manager.registry) == 2


@in_virtual_time
async def test_what_comes_behind_the_head_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = Parsed(monkeypatch)
    async with running() as node:
        await opened(node, head(1))
        client = await opened(node, head(2) + masked(b'{"type":"ping","ref":1}'))
        assert parsed.count == 1
        assert client.transport.written.count(b'"pong"') == 1


@in_virtual_time
async def test_a_head_in_parts_is_parsed_and_not_remembered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed = Parsed(monkeypatch)
    async with running() as node:
        await opened(node, head(1)[:50], head(1)[50:])
        await opened(node, head(2))
        client = await opened(node, head(3)[:-1], head(3)[-1:])
        assert parsed.count == 3
        assert b"subscribed" in client.transport.written


@in_virtual_time
async def test_a_refused_head_is_refused_again(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = Parsed(monkeypatch)
    async with running() as node:
        elsewhere = HEAD.replace(b"Host: localhost", b"Host: elsewhere.example")
        for number in (1, 2):
            client = await opened(node, head(number, elsewhere))
            assert b" 101 " not in client.transport.written
        assert parsed.count == 2


@in_virtual_time
async def test_a_connection_with_a_known_head_is_counted_with_its_own_address() -> None:
    async with running() as node:
        for address in ("192.0.2.1", "192.0.2.2"):
            node.connect(address).send(head(1))
        assert [identity.address for identity in node.manager.registry] == [
            "192.0.2.1",
            "192.0.2.2",
        ]


@in_virtual_time
async def test_a_stranger_with_a_known_head_may_do_no_more_than_the_first() -> None:
    async with running(WITH_KEYS) as node:
        first, second = [await opened(node, head(number)) for number in (1, 2)]
        assert said(first, 1) == said(second, 2)
        assert b'"code":"unauthorized"' in second.transport.written


@in_virtual_time
async def test_while_the_node_is_full_a_known_head_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = {"channels": {"raw": {"payload": "json"}}, "limits": {"connections": 2}}
    async with running(config) as node:
        for number in (1, 2):
            await opened(node, head(number))
        client = await opened(node, head(3))
        assert client.transport.written.startswith(b"HTTP/1.1 503 ")
