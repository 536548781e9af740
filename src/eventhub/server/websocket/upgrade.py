"""Answers one upgrade request: opens its connection, or refuses it (RFC 6455, 4.2).

`handshake.py` decides what to answer; this shell does the I/O.
"""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from eventhub.auth.tokens import UnknownKey
from eventhub.common.faults import internal
from eventhub.delivery.cloudevents import SUBPROTOCOL as CLOUDEVENTS
from eventhub.delivery.encoding import DEFLATE, WEBSOCKET, WebSocketEncoding
from eventhub.errors import EventHubError
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.problem import encode_problem
from eventhub.server.streams.query import websocket_query
from eventhub.server.websocket.handshake import HandshakeResult, negotiate, opening_of_page
from eventhub.server.websocket.protocol import WebSocketProtocol
from eventhub.server.websocket.state import WebSocketState
from eventhub.session.cloudevents import CLOUDEVENT_DIALECT
from eventhub.session.session import Session


class UpgradeRequest(NamedTuple):
    """What the client sent. `bytes_after_head`: bytes that came right behind the head.

    `known`: what was agreed on for the same head before. `accepted` is called with what is agreed
    on now.
    """

    method: str
    url: bytes
    headers: list[tuple[bytes, bytes]]
    bytes_after_head: bytes
    known: HandshakeResult | None = None
    accepted: Callable[[HandshakeResult], None] | None = None


class Upgrade:
    """One upgrade request.

    It is answered at once, or, if its token names an unknown key, after the keys are fetched.
    """

    __slots__ = ("_connection", "_manager", "_request", "_transport")

    def __init__(
        self,
        manager: ConnectionManager,
        transport: asyncio.Transport,
        connection: WebSocketProtocol,
        request: UpgradeRequest,
    ) -> None:
        self._manager = manager
        self._transport = transport
        self._connection = connection
        self._request = request

    def answer(self, *, refreshed: bool | None = None) -> None:
        """Accept or refuse the request.

        `refreshed`: the result of `Authentication.refresh`; None if it was not called yet.

        A fault refuses the request, or ends the connection if it was accepted already.
        """
        try:
            self._answer(refreshed=refreshed)
        except Exception as error:
            self._manager.hub.faults.note("handshake", error)
            self._fail(internal())

    def _answer(self, *, refreshed: bool | None) -> None:
        manager, request, connection = self._manager, self._request, self._connection
        try:
            client = self._client()
            result = request.known or negotiate(
                manager, request.method, request.url, request.headers, client
            )
            if connection.slot is None:
                connection.slot = manager.connection_limits.session(client)
            identity = manager.registry.new_identity(result.principal, client)
            session = manager.session(connection, connection, identity)
            manager.opened(connection, identity, session)
        except UnknownKey as unknown:
            if refreshed is None:
                self._fetch_keys()
            else:
                self._refuse(manager.authentication.unknown(unknown, refreshed=refreshed))
            return
        except EventHubError as error:
            self._refuse(error)
            return
        if manager.access_log.on:
            self._log_access(HTTPStatus.SWITCHING_PROTOCOLS, client, identity.id)
        connection.pipe.hold()  # one write for the response and what the session says at once
        if result.subprotocol == CLOUDEVENTS:
            session.dialect = CLOUDEVENT_DIALECT
        encoding = self._encoding(result)
        connection.open(session, result.answer, encoding, deflate=result.deflate)
        self._subscribe(session, result.query)
        connection.pipe.release()
        if request.accepted is not None:
            request.accepted(result)
        if request.bytes_after_head:
            connection.data_received(request.bytes_after_head)

    def _encoding(self, result: HandshakeResult) -> WebSocketEncoding:
        if result.subprotocol == CLOUDEVENTS:
            cloud = self._manager.cloud_encodings
            return cloud.deflated if result.deflate else cloud.frames
        return DEFLATE if result.deflate else WEBSOCKET

    def _subscribe(self, session: Session, query: bytes) -> None:
        """Subscribe to the query's channels. If it names none, a message must come soon."""
        try:
            wanted = websocket_query(query)
            wanted.subscribe(session)
            if not wanted.channels:
                self._connection.expect_first_message()
        except EventHubError as error:
            self._connection.fail(error)

    def _fetch_keys(self) -> None:
        """Fetch the issuer's keys, then answer. Nothing is read from the client meanwhile."""
        self._transport.pause_reading()
        self._manager.hub.spawn(self._answer_with_keys(), "handshake", self._fail)

    async def _answer_with_keys(self) -> None:
        refreshed = await self._manager.authentication.refresh()
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self.answer(refreshed=refreshed)

    def _fail(self, error: EventHubError) -> None:
        if self._connection.state is WebSocketState.HANDSHAKE:
            self._connection.give_up()
            self._refuse(error)
        else:
            self._manager.registry.fail(self._connection, error)

    def _refuse(self, error: EventHubError) -> None:
        if self._transport.is_closing():  # the client left while the keys were fetched
            return
        request = self._request
        if self._manager.access_log.on:
            self._log_access(error.status, self._client(), None)
        self._manager.hub.refused(error)
        opening = opening_of_page(error, request.method, request.headers)
        if opening is None:
            self._connection.refuse(encode_problem(error))
        else:
            answer, subprotocol = opening
            cloud = self._manager.cloud_encodings
            encoding = cloud.frames if subprotocol == CLOUDEVENTS else WEBSOCKET
            error_frame = encoding.message("error", error.as_dict())
            self._connection.refuse_page(answer + error_frame, error)

    def _client(self) -> str:
        peer = self._transport.get_extra_info("peername") or ("",)
        return self._manager.forwarded.client(peer[0], self._request.headers)

    def _log_access(self, status: int, client: str, session: str | None) -> None:
        request = self._request
        path = request.url.partition(b"?")[0].decode("latin-1")
        self._manager.access_log.write(request.method, path, status, client, session=session)
