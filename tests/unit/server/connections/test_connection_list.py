"""server/connections/connection_list.py: what operators see of a connection."""

from typing import Any

import orjson
import pytest

from eventhub.auth.grants import Grants
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.events.event import format_time
from eventhub.server.connections.connection_list import (
    CHANNELS,
    buffered_bytes,
    slowest_connections,
)
from eventhub.server.connections.identity import ConnectionIdentity
from tests.unit.server.connections.manager_builder import OpenConnection, build

EXPIRES = 1_800_000_000_000


class Subscribed:
    """A session with these channels."""

    def __init__(self, count: int) -> None:
        self.channels = [f"chat.{number}" for number in range(count)]


def identities(*sizes: int) -> list[ConnectionIdentity]:
    """Connections with so many bytes in their buffers."""
    manager = build()
    return [manager._connections[OpenConnection(manager, size=size)] for size in sizes]


def test_the_slowest_come_first_and_no_more_than_the_limit() -> None:
    rows = list(slowest_connections(identities(1, 3, 2, 0), 3, 100_000))
    assert [row["buffered"] for row in rows] == [3, 2, 1]


def test_rows_fit_the_room_for_them() -> None:
    found = identities(3, 2, 1)
    size = len(orjson.dumps(next(slowest_connections(found, 1, 100_000))))
    assert len(list(slowest_connections(found, 3, 2 * size))) == 2
    assert len(list(slowest_connections(found, 3, 2 * size - 1))) == 1
    assert list(slowest_connections(found, 3, size - 1)) == []


def test_a_row_says_who_it_is_and_what_it_reads() -> None:
    (identity,) = identities(7)
    identity.principal = Principal(CredentialKind.TOKEN, "ana", Grants({}), EXPIRES, "t1")
    session: Any = Subscribed(CHANNELS + 2)
    identity.session = session
    assert next(slowest_connections([identity], 1, 100_000)) == {
        "session": identity.id,
        "transport": "websocket",
        "address": "192.0.2.1",
        "opened": format_time(identity.opened),
        "buffered": 7,
        "principal": {"kind": CredentialKind.TOKEN, "name": "ana", "token": "t1"},
        "expires": format_time(EXPIRES),
        "channels": [f"chat.{number}" for number in range(CHANNELS)],
        "subscriptions": CHANNELS + 2,
    }


def test_a_connection_that_has_just_closed_has_a_row() -> None:
    (identity,) = identities(7)
    identity.connection = identity.session = None
    row = next(slowest_connections([identity], 1, 100_000))
    assert (row["transport"], row["buffered"], row["channels"]) == (None, 0, [])
    assert (row["subscriptions"], row["expires"]) == (0, None)


@pytest.mark.parametrize(
    ("row", "size"),
    [({"buffered": 5}, 5), ({}, 0), ({"buffered": "5"}, 0), ({"buffered": None}, 0)],
)
def test_a_row_of_another_version_may_say_nothing_of_the_buffer(
    row: dict[str, Any], size: int
) -> None:
    assert buffered_bytes(row) == size
