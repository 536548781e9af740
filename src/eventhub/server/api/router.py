"""Routes every ASGI request, after it has checked and prepared it.

The steps, in this order: headers, the client's address behind proxies, the access log, HEAD, CORS,
the query string, the Host header, a credential in the query string, CORS preflight, the route.
POST and PUT of a channel go to `PublishEndpoint`, a POST of events to `ChannelsEndpoint`. Every
other HTTP request goes to FastAPI
(`fastapi_app.py`), which only documents publishing.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eventhub.errors import EventHubError, InvalidRequest
from eventhub.server.api.drain_responses import serve_request
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.asgi_extensions import ABORT
from eventhub.server.messages.problem import send_problem
from eventhub.server.messages.request_head import (
    check_query,
    check_single,
    headers_by_name,
    stripped,
)
from eventhub.server.publish.channels_endpoint import PATH as EVENTS_PATH
from eventhub.server.publish.endpoint import METHODS
from eventhub.server.publish.request import PREFIX
from eventhub.server.security.authentication import PARAMETER
from eventhub.server.security.cors import Cors, is_preflight
from eventhub.server.websocket.asgi import AsgiWebSocket


class RequestRouter:
    """`publish` and `publish_to_channels` answer publishing, `api` every other HTTP request."""

    def __init__(
        self,
        manager: ConnectionManager,
        publish: ASGIApp,
        publish_to_channels: ASGIApp,
        api: ASGIApp,
    ) -> None:
        self._manager = manager
        self._publish = publish
        self._publish_to_channels = publish_to_channels
        self._api = api
        self._cors = Cors(manager.origin_check.listed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, a WebSocket or the lifespan."""
        if scope["type"] == "lifespan":
            await self._api(scope, receive, send)
            return
        try:
            _check_headers(scope)
        except InvalidRequest as error:
            await _refuse(scope, send, error)
            return
        self._manager.forwarded.apply(scope)
        if self._manager.access_log.on:
            send = self._manager.access_log.watch(scope, send)
        if scope["type"] == "websocket":
            await AsgiWebSocket(self._manager).run(scope, receive, send)
        else:
            await self._serve_http(scope, receive, send)

    async def _serve_http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":  # as GET, without a body (RFC 9110, 9.3.2)
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        if self._cors.on:
            send = self._cors.watch(scope, send)
        try:
            scope = self._checked(scope)
            if scope["method"] == "OPTIONS" and is_preflight(
                headers := headers_by_name(scope["headers"])
            ):
                self._manager.origin_check.check(headers)
                await self._cors.preflight(headers, send)
                return
        except EventHubError as error:
            await send_problem(send, error)
            return
        await serve_request(
            self._route,
            self._manager.drain.shutting_down,
            self._manager.hub.faults,
            scope,
            receive,
            send,
        )

    def _checked(self, scope: Scope) -> Scope:
        """Return the request with the credential of its query string moved to its headers.

        Raises EventHubError for a bad query string or Host header.
        """
        check_query(scope["query_string"])
        if not self._manager.host_check.open:
            self._manager.host_check.check(_host(scope))
        if PARAMETER not in scope["query_string"]:
            return scope
        query, headers = self._manager.authentication.move_query_token(
            scope["query_string"], headers_by_name(scope["headers"])
        )
        return {**scope, "query_string": query, "headers": list(headers.items())}

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in METHODS and scope["path"].startswith(PREFIX):
            await self._publish(scope, receive, send)
        elif scope["method"] == "POST" and scope["path"] == EVENTS_PATH:
            await self._publish_to_channels(scope, receive, send)
        else:
            await self._api(scope, receive, send)


def _check_headers(scope: Scope) -> None:
    """Check headers that another ASGI server has parsed. Our own server has checked them before.

    Raises InvalidRequest.
    """
    if ABORT not in scope.get("extensions", ()):
        scope["headers"] = stripped(scope["headers"])
        check_single(scope["headers"])


def _host(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:  # it is mostly the first
        if name == b"host":
            host: bytes = value
            return host
    return None


async def _refuse(scope: Scope, send: Send, error: EventHubError) -> None:
    if scope["type"] == "http":
        await send_problem(send, error)
    else:
        await send({"type": "websocket.close", "code": error.close_code, "reason": error.code})


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})

    return send_head
