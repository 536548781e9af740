"""Entrances of the search for expensive inputs (dear.py) that are whole requests: an address or a
body, from the parsed head to the last byte of the response.
"""

import asyncio
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from eventhub.auth.keys import hash_key
from eventhub.config.settings import Settings
from eventhub.server.app import Application
from eventhub.server.http.head import IncomingHead
from eventhub.server.http.scope import ConnectionScope
from tests.unit.server.connections.manager_builder import OpenConnection

KEY = "ehk_operator-0123456789"
CONNECTIONS, LOG = 500, 1000
RECORD = b'{"id":1,"name":"greenhouse","value":21.5,"ok":true}'
CLIENT = "192.0.2.1", 1
HEADERS = [(b"host", b"localhost"), (b"authorization", f"Bearer {KEY}".encode())]


class Requests:
    """An application without a socket, whose channel `json.a` has a full log in memory."""

    def __init__(self) -> None:
        key = {"name": "ops", "hash": hash_key(KEY), "operator": True, "publish": [">"]}
        self._application = Application(
            Settings.model_validate(
                {
                    "auth": {"keys": [key]},
                    "channels": {
                        "json": {"history": {"events": LOG}, "anonymous": ["subscribe"]},
                    },
                }
            ),
            Path(),
        )
        self._loop = asyncio.new_event_loop()
        transport: Any = SimpleNamespace(abort=None, get_extra_info=lambda name: None)
        self._scope = ConnectionScope(transport, CLIENT, {}, secure=False, counted=False)
        for _ in range(LOG // 100):
            assert self.serve("POST", b"/v1/channels/json.a", array(100)) == 201
        for _ in range(CONNECTIONS):
            OpenConnection(self._application.manager)

    def serve(self, method: str, address: bytes, body: bytes = b"") -> int:
        """Serve the request.

        Returns the status. Raises EventHubError for an address that is no URL.
        """
        status = 0

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            nonlocal status
            status = message.get("status", status)

        head = IncomingHead()
        head.url = address
        head.headers = [*HEADERS, (b"content-length", str(len(body)).encode())]
        scope = self._scope.of_request(method, "1.1", head)
        self._loop.run_until_complete(self._application(scope, receive, send))
        return status


def array(count: int) -> bytes:
    """A body of so many records."""
    return b"[" + b",".join([RECORD] * count) + b"]"


@cache
def node() -> Requests:
    """The node of the search."""
    return Requests()


def publish(data: bytes) -> None:
    """The harmless request publishes an event of this size."""
    node().serve("POST", b"/v1/channels/json.b", data)


def history(data: bytes) -> None:
    """A page of history: the channel and, after a question mark, the parameters."""
    node().serve("GET", b"/v1/channels/" + data)


def default_page(_: bytes) -> None:
    """The harmless page has no parameters."""
    node().serve("GET", b"/v1/channels/json.a")


def connections(data: bytes) -> None:
    """The parameters of an operator's list of connections."""
    node().serve("GET", b"/v1/admin/connections?" + data)


def connections_list(_: bytes) -> None:
    """The harmless list has no parameters."""
    node().serve("GET", b"/v1/admin/connections")


def unblock(data: bytes) -> None:
    """The parameters of a block that is removed."""
    node().serve("DELETE", b"/v1/admin/blocks?" + data)


def block_removed(_: bytes) -> None:
    """The harmless removal is of a block that does not exist."""
    node().serve("DELETE", b"/v1/admin/blocks?subject=nobody")


def disconnected(_: bytes) -> None:
    """The harmless body."""
    disconnect(b'{"subject":"nobody"}')


def disconnect(data: bytes) -> None:
    """A body of an operator."""
    node().serve("POST", b"/v1/admin/disconnect", data)
