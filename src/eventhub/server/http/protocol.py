"""One HTTP connection, as asyncio and uvicorn see it: built, read, closed, or handed over.

`request_handler.py` handles its requests.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from eventhub.errors import EventHubError
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.connections.rejected_connection import RejectedConnection
from eventhub.server.http.admission import Admission
from eventhub.server.http.connection_context import ConnectionContext
from eventhub.server.http.flow_control import HIGH_WATER_LIMIT, HeldFlowControl
from eventhub.server.http.head import IncomingHead
from eventhub.server.http.request_handler import RequestHandler
from eventhub.server.http.response_transport import ResponseTransport
from eventhub.server.http.scope import ConnectionScope, address
from eventhub.server.messages.problem import encode_problem
from eventhub.server.publish.fast_path import PublishFastPath
from eventhub.server.websocket.known_handshakes import KnownHandshakes
from eventhub.server.websocket.protocol import WebSocketProtocol
from eventhub.server.websocket.upgrade import Upgrade, UpgradeRequest


class HttpProtocol(asyncio.Protocol):
    """One connection. uvicorn's server builds it, with uvicorn's arguments."""

    manager: ConnectionManager  # set on a subclass by `protocol_for`
    fast_path: PublishFastPath  # likewise
    handshakes: KnownHandshakes  # likewise
    rejected: set[RejectedConnection]  # likewise

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.loop = loop or asyncio.get_running_loop()
        self._app = config.loaded_app
        self._app_state = app_state
        self._server_state = server_state
        self._connections: set[Any] = server_state.connections
        self._admission = Admission(self.manager.connection_limits)
        self._fresh = True  # nothing was read yet
        self._first_read = b""  # what was read first, while that is being parsed

    # Input: asyncio's protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        self.client = address(transport, "peername")
        try:
            self._admission.enter(self.client[0] if self.client else None, self._give_way)
        except EventHubError as error:
            self.manager.hub.refused(error)
            self._reject(transport, encode_problem(error))
            return
        self._connections.add(self)
        self.transport = ResponseTransport(transport, self.loop)
        self._flow = HeldFlowControl(transport)
        self._secure = transport.get_extra_info("sslcontext") is not None
        if self._secure:  # uvloop's own limit for TLS is eight times as much
            transport.set_write_buffer_limits(HIGH_WATER_LIMIT)
        counted = self._admission.slot is not None
        scope = ConnectionScope(
            transport, self.client, self._app_state, secure=self._secure, counted=counted
        )
        context = ConnectionContext(
            self.manager, self.fast_path, self._app, self._server_state, self.loop, self._admission,
            self.transport, self._flow, scope,
        )  # fmt: skip
        self._requests = RequestHandler(context, self)

    def data_received(self, data: bytes) -> None:
        if self._fresh:
            self._fresh = False
            known = self.handshakes.find(data)
            if known is not None and not self._admission.full and not self.transport.is_closing():
                self._upgrade(known)
                return
            self._first_read = data
        self._requests.data_received(data)
        self._first_read = b""

    def eof_received(self) -> bool:
        return self._requests.half_closed(secure=self._secure)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self._requests.detach()
        self._admission.end_probe()
        self._admission.leave()
        self._flow.resume_writing()

    def pause_writing(self) -> None:
        self._flow.pause_writing()

    def resume_writing(self) -> None:
        self._flow.resume_writing()

    # Input: the server

    def last_call(self) -> bool:
        """The server is about to stop. Returns whether an answer is due."""
        return self._requests.last_call()

    def shutdown(self) -> None:
        """The server stops."""
        self._requests.shutdown()

    def retire(self) -> None:
        """Close an idle connection. A client that sends a request meanwhile may send it again.

        Such a request is not parsed, so it has no effect, and the kernel sends no reset.
        """
        self.contained(self._retire)  # called for other connections, which need the place

    # Input: the requests

    def contained(self, act: Callable[[], None]) -> None:
        """Run the work of a timer or a turn. A fault ends this connection only."""
        try:
            act()
        except Exception as error:
            self.manager.hub.faults.note("http", error)
            self.transport.abort()

    def hand_over(self, head: IncomingHead, tail: bytes) -> None:
        """Let a WebSocket have the connection. `tail`: the bytes behind the request."""
        accepted = None
        if raw := self._first_read[: len(self._first_read) - len(tail)]:
            accepted = partial(self.handshakes.remember, raw, head.url, head.headers)
        self._upgrade(UpgradeRequest("GET", head.url, head.headers, tail, None, accepted))

    def reject_probe(self) -> None:
        """Reject a health probe, so that another has its place."""
        error = self._admission.full
        assert error is not None  # which made it one
        self._admission.end_probe()
        self.manager.hub.refused(error)
        self._detach()
        self._reject(self.transport.raw, encode_problem(error))

    # Private

    def _upgrade(self, request: UpgradeRequest) -> None:
        self._detach()
        transport, slot = self.transport.raw, self._admission.hand_over()
        websocket = WebSocketProtocol(self.manager, transport, self._connections, slot)
        transport.set_protocol(websocket)
        Upgrade(self.manager, transport, websocket, request).answer()

    def _retire(self) -> None:
        self._detach()
        self._admission.leave()
        self._reject(self.transport.raw, b"")

    def _give_way(self) -> None:
        """Another health probe needs the place."""
        if self.transport.is_closing():
            self.transport.abort()  # its answer was sent, and it is slow to read that
        else:
            self.reject_probe()

    def _detach(self) -> None:
        self._connections.discard(self)
        self._requests.detach()

    def _reject(self, transport: asyncio.Transport, response: bytes) -> None:
        transport.set_protocol(RejectedConnection(transport, response, self.rejected))


def protocol_for(manager: ConnectionManager) -> type[HttpProtocol]:
    """The class to give to uvicorn, which passes no arguments of ours."""
    members = {
        "manager": manager,
        "fast_path": PublishFastPath(manager),
        "handshakes": KnownHandshakes(),
        "rejected": set(),
    }
    return type("BoundHttpProtocol", (HttpProtocol,), members)
