"""Subscribing: streams over HTTP, whose work server/streams does, and the WebSocket's address."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import FastAPI, Header, Request, Response

from eventhub.errors import UpgradeRequired
from eventhub.server.api import asyncapi
from eventhub.server.api.asgi_response import AsgiResponse
from eventhub.server.api.parameters import Channel
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.accept import accepts_cloudevents
from eventhub.server.messages.problem import ProblemResponse
from eventhub.server.messages.request_head import headers_by_name
from eventhub.server.security.authentication import address_of
from eventhub.server.streams.pattern_query import PatternQuery, names_pattern
from eventhub.server.streams.query import StreamQuery
from eventhub.server.streams.response import FORMS, MEDIA_TYPES, StreamResponse
from eventhub.server.streams.selection_begin import check_parts
from eventhub.server.websocket.handshake import WEBSOCKET_PATH

LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="Resumes; takes precedence over since")
]


def add_subscribe_routes(api: FastAPI, manager: ConnectionManager) -> None:
    """Add the routes of streams, then the WebSocket's."""
    _add_streams(api, manager)
    _add_websocket(api, manager)


def _add_streams(api: FastAPI, manager: ConnectionManager) -> None:
    since, *member, where, last_event_id, channels = _parameters()

    async def sse(request: Request, channel: Channel, last: LastEventId = None) -> Response:
        return await _open_stream(manager, request, "sse", channel, last or "")

    async def ndjson(request: Request, channel: Channel) -> Response:
        return await _open_stream(manager, request, "ndjson", channel, None)

    async def sse_several(request: Request, last: LastEventId = None) -> Response:
        return await _open_stream(manager, request, "sse", None, last or "")

    async def ndjson_several(request: Request) -> Response:
        return await _open_stream(manager, request, "ndjson", None, None)

    def add(
        path: str,
        endpoint: Callable[..., Awaitable[Response]],
        transport: str,
        summary: str,
        parameters: list[dict[str, Any]],
    ) -> None:
        api.add_api_route(
            path,
            endpoint,
            methods=["GET"],
            summary=summary,
            responses=_responses(transport),
            tags=["subscribe"],
            openapi_extra={"parameters": parameters},
            response_class=Response,
        )

    summary = "Live, as Server-Sent Events"
    add("/v1/channels/{channel}/sse", sse, "sse", summary, [since, *member, where, last_event_id])
    summary = "Live, one JSON object a line"
    add("/v1/channels/{channel}/ndjson", ndjson, "ndjson", summary, [since, *member, where])
    summary = "Several channels, or all that fit a pattern, as Server-Sent Events"
    add("/v1/sse", sse_several, "sse", summary, [channels, since, *member, where, last_event_id])
    summary = "Several channels, or all that fit a pattern, one JSON object a line"
    add("/v1/ndjson", ndjson_several, "ndjson", summary, [channels, since, *member, where])


async def _open_stream(
    manager: ConnectionManager,
    request: Request,
    transport: str,
    channel: str | None,
    last_event_id: str | None,
) -> Response:
    manager.origin_check.check(headers := headers_by_name(request.scope["headers"]))
    principal = await manager.authentication.admit(headers, address=address_of(request.scope))
    address = request.scope["query_string"]
    query: StreamQuery | PatternQuery
    if names_pattern(address, channel):
        query = PatternQuery(address, channel, last_event_id)
        await query.read(manager.hub.types, principal, manager.hub.patterns.cursors)
    else:
        query = StreamQuery(address, channel, last_event_id)
        check_parts(query.channels)
    identity = manager.registry.new_identity(principal, address_of(request.scope))
    form = FORMS[transport]
    if accepts_cloudevents(headers):
        cloud = manager.cloud_encodings
        form = cloud.cursor_blocks if transport == "sse" else cloud.cursor_lines
    return AsgiResponse(StreamResponse(manager, transport, query, identity, form))


def _add_websocket(api: FastAPI, manager: ConnectionManager) -> None:
    @api.get("/asyncapi.json", summary="The WebSocket interface, as AsyncAPI 3", tags=["subscribe"])
    async def asyncapi_document(request: Request) -> dict[str, Any]:
        secure = request.url.scheme == "https"
        return asyncapi.document(manager.hub.types, request.url.netloc, secure=secure)

    @api.get(
        WEBSOCKET_PATH,
        summary="The WebSocket: send a handshake",
        status_code=426,
        response_class=Response,
        tags=["subscribe"],
    )
    async def websocket() -> Response:
        error = UpgradeRequired(
            "expected a WebSocket handshake; a proxy in between must pass on Upgrade and Connection"
        )
        response = ProblemResponse(error)
        response.headers.update({"upgrade": "websocket", "connection": "upgrade"})
        return response


def _parameters() -> tuple[dict[str, Any], ...]:
    """The parameters of streams for the OpenAPI document; `channel` is the last one."""
    text = {"type": "string"}
    since = _parameter("since", text | {"default": "latest"}, "Where to begin")
    member = _parameter("member", text, "The id in presence")
    presence = _parameter(
        "presence",
        text | {"enum": ["true", "false", "count"], "default": "false"},
        "Whether to send the members, or their number, and every change",
    )
    data = _parameter("member_data", text, "The member's data: a JSON object")
    where = _parameter("where", text, 'A filter in CEL, such as data.level == "error"')
    last_event_id = _parameter(
        "lastEventId",
        text,
        "As Last-Event-ID, from polyfills of EventSource that cannot set the header",
    )
    channels = {
        "name": "channel",
        "in": "query",
        "required": True,
        "schema": {"type": "array", "items": text},
    }
    return since, presence, member, data, where, last_event_id, channels


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {
        "name": name,
        "in": "query",
        "required": False,
        "schema": schema,
        "description": description,
    }


def _responses(transport: str) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPES[transport].decode(): {"schema": {"type": "string"}}}
    return {200: {"description": "Events as they happen, without end", "content": content}}
