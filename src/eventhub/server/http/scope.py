"""The ASGI scopes of one HTTP connection's requests."""

import asyncio
from functools import partial
from typing import Any
from urllib.parse import unquote

import httptools
from starlette.types import Scope

from eventhub.common.addresses import canonical
from eventhub.errors import InvalidRequest
from eventhub.server.connections.liveness import outgoing
from eventhub.server.http.head import IncomingHead
from eventhub.server.messages.asgi_extensions import ABORT, COUNTED
from eventhub.server.messages.request_head import check_encoding

ASGI = {"version": "3.0", "spec_version": "2.3"}


class ConnectionScope:
    """The shared part of one connection's scopes. `counted`: under its client's address."""

    __slots__ = ("_client", "_extensions", "_scheme", "_server", "_state", "peer")

    def __init__(
        self,
        transport: asyncio.Transport,
        client: tuple[str, int] | None,
        state: dict[str, Any],
        *,
        secure: bool,
        counted: bool,
    ) -> None:
        self._client = client
        self._server = address(transport, "sockname")
        self._scheme = "https" if secure else "http"
        self._state = state
        self.peer = (client and client[0], secure)
        """All of the connection that the meaning of a head depends on."""
        self._extensions: dict[str, Any] = {
            ABORT: {"abort": transport.abort, "outgoing": partial(outgoing, transport)}
        }
        if counted:
            self._extensions[COUNTED] = {}

    def of_request(self, method: str, version: str, head: IncomingHead) -> Scope:
        """The scope of a request. Raises InvalidRequest for an address that is no URL."""
        check_encoding(head.url)
        try:
            url = httptools.parse_url(head.url)
            raw_path = url.path or b"/"
            path = raw_path.decode("ascii")
        except (httptools.HttpParserError, UnicodeDecodeError):
            raise InvalidRequest("the address is not a URL") from None
        return {
            "type": "http",
            "asgi": ASGI,
            "http_version": version,
            "server": self._server,
            "client": self._client,
            "scheme": self._scheme,
            "method": method,
            "root_path": "",
            "path": unquote(path) if "%" in path else path,
            "raw_path": raw_path,
            "query_string": url.query or b"",
            "headers": head.headers,
            "state": self._state.copy(),
            "extensions": self._extensions,
        }


def address(transport: asyncio.Transport, name: str) -> tuple[str, int] | None:
    """Host and port of `peername` or `sockname`; None for a socket without them."""
    found = transport.get_extra_info(name)
    return (canonical(found[0]), found[1]) if isinstance(found, tuple) else None
