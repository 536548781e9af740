"""What the requests of one HTTP connection need from it, and from the node."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from starlette.types import ASGIApp
from uvicorn.server import ServerState

from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.http.admission import Admission
from eventhub.server.http.flow_control import HeldFlowControl
from eventhub.server.http.head import IncomingHead
from eventhub.server.http.request_response import RequestResponse
from eventhub.server.http.response_transport import ResponseTransport
from eventhub.server.http.scope import ConnectionScope
from eventhub.server.publish.fast_path import PublishFastPath
from eventhub.server.security.idle_connections import IdleConnection


class RequestShell(IdleConnection, Protocol):
    """The connection to asyncio, as its requests see it."""

    def contained(self, act: Callable[[], None]) -> None:
        """Call it; a fault ends this connection only."""
        ...

    def reject_probe(self) -> None:
        """Reject a health probe that asked for something else, or too late."""
        ...

    def hand_over(self, head: IncomingHead, tail: bytes) -> None:
        """Let a WebSocket have the connection. `tail`: the bytes behind the request."""
        ...


@dataclass(slots=True, eq=False)
class ConnectionContext:
    """What the requests of a connection share.

    `manager`, `fast_path`, `app` and `server_state` belong to the node, the rest to the connection.
    """

    manager: ConnectionManager
    fast_path: PublishFastPath
    app: ASGIApp
    server_state: ServerState
    loop: asyncio.AbstractEventLoop
    admission: Admission
    transport: ResponseTransport
    flow: HeldFlowControl
    scope: ConnectionScope

    def new_request(
        self, method: str, version: str, head: IncomingHead, answered: Callable[[], None]
    ) -> RequestResponse:
        """A request for the application. `answered` is called when its response is complete.

        Raises InvalidRequest for an address that is no URL.
        """
        scope = self.scope.of_request(method, version, head)
        headers = self.server_state.default_headers
        request = RequestResponse(scope, self.transport, self.flow, headers, answered)
        if head.expects_continue and version != "1.0":
            request.expect_continue()
        request.keep_alive = self.admission.probe is None and not self.manager.hub.draining
        return request
