"""Publishing in the OpenAPI document, and in the routes, so that other methods are answered 405.

No publish comes here: `router.py` hands it to `PublishEndpoint` before any route is looked up.
"""

from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI, Response
from starlette.types import ASGIApp

from eventhub.delivery.cloudevents import BATCH_TYPE, MEDIA_TYPE
from eventhub.events.references import Relation
from eventhub.events.senml import MEDIA_TYPE as SENML_TYPE
from eventhub.server.api.asgi_response import AsgiResponse
from eventhub.server.api.cloudevent_pages import CLOUDEVENT
from eventhub.server.api.openapi import MODELS, Batch, ChannelsBatch, Signaled, Stored
from eventhub.server.api.parameters import Channel
from eventhub.server.messages.problem import PROBLEM_TYPE
from eventhub.server.publish.channel_items import ChannelItem
from eventhub.server.publish.channels_endpoint import PATH
from eventhub.server.publish.endpoint import METHODS
from eventhub.server.publish.handling import PARAMETER, Handling
from eventhub.server.publish.signal_endpoint import SIGNAL

HEADERS = {
    "Idempotency-Key": "Repeating a request with the same key stores nothing again",
    "ce-source": "CloudEvents source",
    "ce-subject": "CloudEvents subject",
    "ce-type": "CloudEvents type",
    "ce-id": "CloudEvents id; the body is then one event",
    "ce-specversion": "1.0: the body is the data of one CloudEvent in binary mode",
    "ce-time": "CloudEvents time (RFC 3339)",
    "traceparent": "W3C Trace Context",
    "If-Match": "Store the event only if this id is the newest of its key; otherwise 412",
    "If-None-Match": "*: store the event only if its key has none; otherwise 412",
    "Prefer": "handling=lenient: store what is valid, answer 200, count the rest (RFC 7240)",
}


SIGNAL_PARAMETER: dict[str, Any] = {
    "name": SIGNAL,
    "in": "query",
    "required": False,
    "schema": {"const": "true"},
    "description": "The body is one signal, which is delivered to those who are there and not"
    " stored",
}


REFERENCE_PARAMETERS: list[dict[str, Any]] = [
    {
        "name": "refers",
        "in": "query",
        "required": False,
        "schema": {"type": "string"},
        "description": "The id of the event that this one edits or reacts to",
    },
    {
        "name": "relation",
        "in": "query",
        "required": False,
        "schema": {"enum": [Relation.EDIT, Relation.REACTION]},
        "description": "What this event is to the one in refers; DELETE deletes it",
    },
]


def add_publish_routes(api: FastAPI, publish: ASGIApp, to_channels: ASGIApp) -> None:
    """POST and PUT of a channel, which do the same, and POST of events of several channels."""

    async def endpoint(channel: Channel) -> Response:
        return AsgiResponse(publish)

    for method in METHODS:
        api.add_api_route(
            "/v1/channels/{channel}",
            endpoint,
            methods=[method],
            status_code=201,
            response_model=Stored | Batch,
            responses=_responses(),
            summary="Publish one event, a JSON array of events, or a stream of lines; or send a"
            " signal",
            operation_id=f"{method.lower()}_events",
            openapi_extra={
                "requestBody": _request_body(),
                "parameters": [*_parameters(), *REFERENCE_PARAMETERS, SIGNAL_PARAMETER],
            },
            tags=["publish"],
        )

    async def channels_endpoint() -> Response:
        return AsgiResponse(to_channels)

    api.add_api_route(
        PATH,
        channels_endpoint,
        methods=["POST"],
        status_code=201,
        response_model=ChannelsBatch,
        responses=_channels_responses(),
        summary="Publish events, and send signals, to several channels",
        operation_id="post_channels_events",
        openapi_extra={"requestBody": _items_body(), "parameters": _parameters()},
        tags=["publish"],
    )


def _items_body() -> dict[str, Any]:
    item = ChannelItem.model_json_schema()
    lines = {"type": "string", "description": "One item a line"}
    content = {
        "application/json": {"schema": {"type": "array", "items": item}},
        "application/x-ndjson": {"schema": lines},
    }
    return {"required": True, "content": content}


def _channels_responses() -> dict[int | str, dict[str, Any]]:
    problem = {PROBLEM_TYPE: {"schema": {"$ref": f"{MODELS}/Problem"}}}
    batch = {"application/json": {"schema": {"$ref": f"{MODELS}/ChannelsBatch"}}}
    return {
        200: {"description": "The results, with lenient handling", "model": ChannelsBatch},
        202: {"description": "All were signals, and accepted", "model": ChannelsBatch},
        207: {"description": "Some events were refused", "model": ChannelsBatch},
        422: {"description": "All events were refused", "content": problem | batch},
        503: {"description": "Nothing can be stored now", "content": problem | batch},
    }


def _request_body() -> dict[str, Any]:
    event = {"description": "The payload that the channel's type asks for: GET /v1/types/{type}"}
    one_or_many = {"anyOf": [event, {"type": "array", "items": event}]}
    lines = {"type": "string", "description": "One event a line, stored as it arrives"}
    content = {
        "application/json": {"schema": one_or_many},
        "application/x-ndjson": {"schema": lines},
        MEDIA_TYPE.decode(): {"schema": CLOUDEVENT},
        BATCH_TYPE.decode(): {"schema": {"type": "array", "items": CLOUDEVENT}},
        SENML_TYPE.decode(): {"schema": {"type": "array", "items": {"type": "object"}}},
    }
    return {"required": True, "content": content}


def header_parameters(names: Iterable[str] = HEADERS) -> list[dict[str, Any]]:
    """The request headers of these names."""
    return [
        {
            "name": name,
            "in": "header",
            "required": False,
            "description": HEADERS[name],
            "schema": {"type": "string"},
        }
        for name in names
    ]


def _parameters() -> list[dict[str, Any]]:
    handling = {
        "name": PARAMETER,
        "in": "query",
        "required": False,
        "schema": {"enum": list(Handling)},
        "description": "The same as Prefer, for producers that cannot set headers",
    }
    return [*header_parameters(), handling]


def _responses() -> dict[int | str, dict[str, Any]]:
    lines: dict[str, Any] = {"application/x-ndjson": {"schema": {"type": "string"}}}
    batch = {"application/json": {"schema": {"$ref": f"{MODELS}/Batch"}}}
    problem = {PROBLEM_TYPE: {"schema": {"$ref": f"{MODELS}/Problem"}}}
    return {
        200: {
            "description": "The results of a stream, as NDJSON; the results of events that were"
            " sent with lenient handling",
            "content": lines | batch,
        },
        202: {"description": "The signal was accepted", "model": Signaled},
        207: {
            "description": "Some events of a batch, or of a stream whose length is known, were"
            " refused",
            "model": Batch,
            "content": lines,
        },
        422: {
            "description": "The event was refused, or all events of a batch or of such a stream",
            "content": problem | batch | lines,
        },
        503: {
            "description": "Nothing more can be stored now",
            "content": problem | batch | lines,
        },
    }
