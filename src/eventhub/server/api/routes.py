"""The HTTP interface: publishing is handed on, the rest answered here. FastAPI, thin."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal

import orjson
from fastapi import FastAPI, Header, Path, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from eventhub import __version__
from eventhub.auth.grants import Action
from eventhub.delivery.encoding import event_json, gap_fields
from eventhub.errors import (
    EventHubError,
    Internal,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    TooManySubscriptions,
    UpgradeRequired,
)
from eventhub.events.channels import ChannelType
from eventhub.events.event import Gap, HistoryPage, Last, Latest, parse_since
from eventhub.events.validation_errors import MAX_FAULTS, pointer
from eventhub.hub.hub import Hub
from eventhub.server.api import asyncapi, openapi, operator_routes
from eventhub.server.api.openapi import MODELS, Batch, Problem, Stored
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.problem import PROBLEM_TYPE, ProblemResponse
from eventhub.server.messages.request_head import combined
from eventhub.server.publish.endpoint import METHODS
from eventhub.server.publish.handling import PARAMETER, Handling
from eventhub.server.security.authentication import address_of
from eventhub.server.streams.query import StreamQuery
from eventhub.server.streams.response import MEDIA_TYPES, StreamResponse
from eventhub.server.websocket.handshake import WEBSOCKET_PATH

STREAM_CHANNELS = 32
SUMMARY = "Real-time event broadcast over typed channels. The WebSocket at /v1/ws and the message formats are described in PROTOCOL.md."


Channel = Annotated[str, Path(description="The channel's name, such as chat.lobby")]
Scrape = Callable[[], Awaitable[bytes]]
"""Metrics in the Prometheus text format."""
LastEventId = Annotated[
    str | None, Header(alias="Last-Event-ID", description="Resumes; takes precedence over since")
]


class AsgiResponse(Response):
    """A response that an ASGI application gives."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


def build(manager: ConnectionManager, publish: ASGIApp, scrape: Scrape, lifespan: Any) -> FastAPI:
    """The FastAPI application."""
    api = FastAPI(
        title="EventHub", version=__version__, description=SUMMARY, lifespan=lifespan, docs_url=None, redoc_url=None,
        redirect_slashes=False,  # to the Host that was given
        servers=[{"url": "."}],  # where the document is, which may be below a proxy's prefix
        responses={"default": {"model": Problem, "description": "A problem: what was received, and what was expected"}},
    )  # fmt: skip
    _errors(api, manager.hub)
    _publishing(api, publish)
    _reading(api, manager)
    _streams(api, manager)
    _operations(api, manager, scrape)
    operator_routes.mount(api, manager.operators, manager.settings.limits.body_seconds)
    openapi.complete(api, manager.settings.auth)
    return api


def _publishing(api: FastAPI, publish: ASGIApp) -> None:
    event: dict[str, Any] = {
        "description": "The payload that the channel's type asks for: GET /v1/types/{type}"
    }
    content = {
        "application/json": {"schema": {"anyOf": [event, {"type": "array", "items": event}]}},
        "application/x-ndjson": {
            "schema": {"type": "string", "description": "One event a line, stored as it arrives"}
        },
    }
    headers = {
        "Idempotency-Key": "Repeating a request with the same key stores nothing again",
        "ce-source": "CloudEvents source", "ce-subject": "CloudEvents subject", "ce-type": "CloudEvents type",
        "traceparent": "W3C Trace Context",
        "Prefer": "handling=lenient: take what fits, answer 200 and count the rest (RFC 7240)",
    }  # fmt: skip
    parameters: list[dict[str, Any]] = [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": text,
            "schema": {"type": "string"},
        }
        for name, text in headers.items()
    ]
    address = {
        "name": PARAMETER,
        "in": "query",
        "required": False,
        "schema": {"enum": list(Handling)},
    }
    parameters.append(
        {**address, "description": "As Prefer, for producers that can only set an address"}
    )
    lines: dict[str, Any] = {"application/x-ndjson": {"schema": {"type": "string"}}}
    problem, batch = (
        {"schema": {"$ref": f"{MODELS}/Problem"}},
        {"schema": {"$ref": f"{MODELS}/Batch"}},
    )
    decided = {PROBLEM_TYPE: problem, "application/json": batch, **lines}
    answers: dict[int | str, dict[str, Any]] = {
        200: {
            "description": "What became of a stream, as NDJSON; what became of events that were sent with lenient handling",
            "content": {**lines, "application/json": batch},
        },
        207: {
            "description": "Some events of a batch, or of a stream whose length is known, were refused",
            "model": Batch,
            "content": lines,
        },
        422: {
            "description": "The event was refused, or all events of a batch or of such a stream",
            "content": decided,
        },
        503: {"description": "Nothing more can be stored now", "content": decided},
    }

    async def endpoint(channel: Channel) -> Response:
        return AsgiResponse(publish)

    for method in METHODS:
        api.add_api_route(
            "/v1/channels/{channel}", endpoint, methods=[method], status_code=201, response_model=Stored | Batch, responses=answers,
            summary="Publish one event, a JSON array of events, or a stream of lines", operation_id=f"{method.lower()}_events",
            openapi_extra={"requestBody": {"required": True, "content": content}, "parameters": parameters}, tags=["publish"],
        )  # fmt: skip


def _reading(api: FastAPI, manager: ConnectionManager) -> None:
    hub = manager.hub
    limits = manager.settings.limits

    async def authorize(request: Request, action: Action, channel: str) -> ChannelType:
        kind = hub.types.resolve(channel)
        principal = await manager.authentication.admit(
            combined(request.scope["headers"]), address=address_of(request.scope)
        )
        principal.authorize(action, channel, kind.anonymous)
        return kind

    @api.get("/v1/channels/{channel}", summary="A page of history", tags=["read"])
    async def history(
        request: Request,
        channel: Channel,
        since: Annotated[
            str,
            Query(
                description="An id, earliest, latest, a count such as -20, or an age such as 10m"
            ),
        ] = "earliest",
        limit: Annotated[int, Query(ge=1, le=limits.page, description="Events on the page")] = min(
            100, limits.page
        ),
    ) -> Response:
        wanted = parse_since(since)
        _only(request, "since", "limit")
        await authorize(request, Action.SUBSCRIBE, channel)
        if isinstance(wanted, Latest):  # an empty page that says where the log ends
            wanted = (await hub.history(channel, Last(1), 1)).end
        piece = await hub.history(channel, wanted, limit)
        return Response(_page(channel, piece, since), media_type="application/json")

    @api.get("/v1/channels/{channel}/presence", summary="Who is there", tags=["read"])
    async def presence(request: Request, channel: Channel) -> dict[str, Any]:
        _only(request)
        kind = await authorize(request, Action.PRESENCE, channel)
        if not kind.presence:
            raise NotFound(
                f"channel type {kind.name!r} keeps no presence; `presence: true` in the configuration turns it on"
            )
        members = hub.members(channel)
        return {
            "channel": channel,
            "count": len(members),
            "members": [{"id": member} for member in members],
        }

    @api.get("/v1/types", summary="The channel types", tags=["read"])
    async def types(request: Request) -> dict[str, Any]:
        _only(request)
        return {"types": [_shown(kind) for kind in hub.types]}

    @api.get(
        "/v1/types/{name}",
        summary="A channel type with the JSON Schemas of its events",
        tags=["read"],
    )
    async def type_(
        request: Request,
        name: Annotated[str, Path(description="The channel type's name, such as chat")],
    ) -> dict[str, Any]:
        _only(request)
        kind = hub.types.named(name)
        return {
            **_shown(kind),
            "schemas": {"accepted": kind.schema.accepted, "stored": kind.schema.stored},
        }


def _streams(api: FastAPI, manager: ConnectionManager) -> None:
    since = {
        "name": "since",
        "in": "query",
        "required": False,
        "schema": {"type": "string", "default": "latest"},
        "description": "Where to begin",
    }
    member = {
        "name": "member",
        "in": "query",
        "required": False,
        "schema": {"type": "string"},
        "description": "The id in presence",
    }
    resume = {
        "name": "lastEventId",
        "in": "query",
        "required": False,
        "schema": {"type": "string"},
        "description": "As Last-Event-ID, from polyfills of EventSource that cannot set the header",
    }
    several = {
        "name": "channel", "in": "query", "required": True, "schema": {"type": "array", "items": {"type": "string"}},
    }  # fmt: skip

    def answers(transport: str) -> dict[int | str, dict[str, Any]]:
        media = MEDIA_TYPES[transport].decode()
        return {
            200: {
                "description": "Events as they happen, without end",
                "content": {media: {"schema": {"type": "string"}}},
            }
        }

    async def stream(
        request: Request, transport: str, channel: str | None, last: str | None
    ) -> Response:
        manager.origin_check.check(headers := combined(request.scope["headers"]))
        principal = await manager.authentication.admit(headers, address=address_of(request.scope))
        wanted = StreamQuery(request.scope["query_string"], channel, last)
        if not wanted.channels:
            raise InvalidRequest("no channel is named; expected ?channel=… once or more")
        if len(wanted.channels) > STREAM_CHANNELS:  # each event carries a cursor of all of them
            raise TooManySubscriptions(
                f"the address names {len(wanted.channels)} channels; at most {STREAM_CHANNELS} fit on one stream"
            )
        identity = manager.registry.new_identity(principal, address_of(request.scope))
        return AsgiResponse(StreamResponse(manager, transport, wanted, identity))

    def add(
        path: str,
        endpoint: Callable[..., Awaitable[Response]],
        summary: str,
        transport: str,
        parameters: list[dict[str, Any]],
    ) -> None:
        api.add_api_route(
            path, endpoint, methods=["GET"], summary=summary, responses=answers(transport), tags=["subscribe"],
            openapi_extra={"parameters": parameters}, response_class=Response,
        )  # fmt: skip

    async def sse(request: Request, channel: Channel, last: LastEventId = None) -> Response:
        return await stream(request, "sse", channel, last or "")

    async def ndjson(request: Request, channel: Channel) -> Response:
        return await stream(request, "ndjson", channel, None)

    async def sse_several(request: Request, last: LastEventId = None) -> Response:
        return await stream(request, "sse", None, last or "")

    add(
        "/v1/channels/{channel}/sse",
        sse,
        "Live, as Server-Sent Events",
        "sse",
        [since, member, resume],
    )
    add(
        "/v1/channels/{channel}/ndjson",
        ndjson,
        "Live, one JSON object a line",
        "ndjson",
        [since, member],
    )
    add(
        "/v1/sse",
        sse_several,
        "Several channels on one stream of Server-Sent Events",
        "sse",
        [several, since, member, resume],
    )


def _operations(api: FastAPI, manager: ConnectionManager, scrape: Scrape) -> None:
    @api.get("/asyncapi.json", summary="The WebSocket interface, as AsyncAPI 3", tags=["subscribe"])
    async def asyncapi_document(request: Request) -> dict[str, Any]:
        return asyncapi.document(
            manager.hub.types, request.url.netloc, secure=request.url.scheme == "https"
        )

    @api.get(
        WEBSOCKET_PATH,
        summary="The WebSocket: send a handshake",
        status_code=426,
        response_class=Response,
        tags=["subscribe"],
    )
    async def websocket() -> Response:
        problem = ProblemResponse(
            UpgradeRequired(
                "expected a WebSocket handshake; a proxy in between must pass on Upgrade and Connection"
            )
        )
        problem.headers.update({"upgrade": "websocket", "connection": "upgrade"})
        return problem

    @api.get("/livez", summary="The process serves requests", tags=["operate"])
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @api.get(
        "/readyz", summary="This node can do its work now; 503 names what cannot", tags=["operate"]
    )
    async def readyz(
        response: Response,
        exclude: Annotated[
            Literal["broker"] | None, Query(description="What is not asked for this time")
        ] = None,
    ) -> dict[str, Any]:
        reasons = {what: why for what, why in manager.unready().items() if what != exclude}
        response.status_code = 503 if reasons else 200
        return {"status": "not ready" if reasons else "ok", "reasons": reasons}

    @api.get("/metrics", summary="Prometheus metrics", response_class=Response, tags=["operate"])
    async def metrics(request: Request) -> Response:
        if not manager.settings.auth.public_metrics:
            await manager.authentication.admit_operator(
                combined(request.scope["headers"]), address_of(request.scope)
            )
        return Response(await scrape(), media_type=CONTENT_TYPE_LATEST)


def _errors(api: FastAPI, hub: Hub) -> None:
    async def eventhub_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, EventHubError)
        hub.refused(error)
        return ProblemResponse(error)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = [
            {"pointer": pointer(list(fault["loc"])), "message": str(fault["msg"])}
            for fault in error.errors()[:MAX_FAULTS]
        ]
        paged = any(
            fault["loc"] == ("query", "limit") and fault["type"] == "less_than_equal"
            for fault in error.errors()
        )
        first = error.errors()[0]
        received = f", received {str(first['input'])[:40]!r}" if first["loc"][0] == "query" else ""
        problem = InvalidRequest(
            f"{faults[0]['pointer']}: {faults[0]['message']}{' (limits.page)' * paged}{received}",
            faults,
        )
        if paged:
            hub.refused(problem.with_limit("page"))
        return ProblemResponse(problem)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path, method = request.url.path[:200], request.method
        match error.status_code:
            case 404:
                return ProblemResponse(
                    NotFound(
                        f"nothing is at {path!r}; channels are at /v1/channels/{{channel}}, and /docs lists everything"
                    )
                )
            case 405:
                routes = [
                    route
                    for route in api.routes
                    if isinstance(route, Route) and route.path_regex.match(request.url.path)
                ]
                allowed = ", ".join(
                    sorted({name for route in routes for name in route.methods or ()})
                )
                problem = ProblemResponse(
                    MethodNotAllowed(f"{path!r} has no method {method}; expected one of {allowed}")
                )
                problem.headers["allow"] = allowed
                return problem
            case _:
                return ProblemResponse(InvalidRequest(error.detail))

    async def unforeseen(request: Request, error: Exception) -> Response:
        return ProblemResponse(Internal("a fault of the server; its log says more"))

    api.add_exception_handler(EventHubError, eventhub_error)
    api.add_exception_handler(RequestValidationError, invalid)
    api.add_exception_handler(HTTPException, http_error)
    api.add_exception_handler(Exception, unforeseen)


def _only(request: Request, *known: str) -> None:
    """Raises InvalidRequest for a parameter that is unknown or repeated: a typo in `since` would otherwise skip events silently."""
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known or name in seen:
            what = (
                "is given more than once"
                if name in seen
                else f"is unknown; expected {' and '.join(known) or 'none'}"
            )
            raise InvalidRequest(f"the query parameter {name[:40]!r} {what}")
        seen.add(name)


def _page(channel: str, piece: HistoryPage, since: str) -> bytes:
    gap = None
    if piece.lost:
        asked = parse_since(since)
        gap = gap_fields(Gap.of(asked, piece))
    events = b",".join(event_json(event) for event in piece.events)
    return b'{"channel":"%b","events":[%b],"position":"%b","head":"%b","gap":%b}' % (
        channel.encode(), events, str(piece.reached).encode(), str(piece.end).encode(), orjson.dumps(gap),
    )  # fmt: skip


def _shown(kind: ChannelType) -> dict[str, Any]:
    return {
        "name": kind.name,
        "payload": kind.payload,
        "history": {
            "events": kind.retention.events,
            "age": None if kind.retention.age is None else kind.retention.age / 1000,
        },
        "presence": kind.presence,
        "slow": kind.slow,
        "publish": sorted(kind.publish),
    }
