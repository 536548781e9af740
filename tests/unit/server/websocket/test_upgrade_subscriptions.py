"""server/websocket/upgrade.py: the subscriptions of a query string, and their one write."""

import pytest

from eventhub.errors import InvalidRequest
from eventhub.server.streams.query import REMEMBERED_BYTES, StreamQuery, websocket_query
from tests.harness.hubs import running
from tests.harness.virtual_time import in_virtual_time, turns
from tests.unit.server.connections.manager_builder import build
from tests.unit.server.websocket.client import opened


@in_virtual_time
async def test_the_answer_and_what_is_known_at_once_are_one_write() -> None:
    manager = build(native=False)
    async with running(manager.hub):
        first = opened(b"/v1/ws?channel=chat.a", manager=manager)
        await turns()
        second = opened(b"/v1/ws?channel=chat.a", manager=manager)
        assert len(second.transport.writes) == 1
        assert (second.status, second.types) == (b"101", ["hello", "subscribed"])
        second.protocol.write(b"at once")
        assert second.transport.writes[1:] == [b"at once"]
        for client in (first, second):
            client.lose()


@in_virtual_time
async def test_what_was_held_comes_before_a_close_frame() -> None:
    client = opened(b"/v1/ws?channel=nothing.a")
    assert (client.status, client.types) == (b"101", ["hello", "error"])
    assert client.close_frames == [(4404, "unknown_channel")]
    client.lose()


def test_a_short_query_string_of_websockets_is_parsed_once() -> None:
    short = b"channel=chat"
    edge = b"channel=" + b"x" * (REMEMBERED_BYTES - 8)
    assert websocket_query(short) is websocket_query(short)
    assert websocket_query(edge) is websocket_query(edge)
    long = edge + b"x"
    assert websocket_query(long) is not websocket_query(long)
    assert websocket_query(long).channels == StreamQuery(long).channels


def test_a_query_string_that_was_refused_is_refused_again() -> None:
    for _ in range(2):
        with pytest.raises(InvalidRequest):
            websocket_query(b"nonsense=1")
