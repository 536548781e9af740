"""Pages of history as a batch of CloudEvents: gaps, the events, and `eventhub.page` at the end."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import Request, Response

from eventhub.delivery.cloudevents import BATCH_TYPE, CloudEvents
from eventhub.events.event import Event, Position
from eventhub.server.connections.manager import ConnectionManager
from eventhub.server.messages.accept import accepts_cloudevents
from eventhub.server.messages.request_head import headers_by_name

TEXT = {"type": "string", "minLength": 1, "maxLength": 256}
CLOUDEVENT: dict[str, Any] = {
    "type": "object",
    "description": "A CloudEvent in JSON, with any extensions",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": TEXT,
        "source": {**TEXT, "format": "uri-reference"},
        "type": TEXT,
        "subject": TEXT,
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": TEXT,
        "dataschema": {**TEXT, "format": "uri"},
        "data": {"description": "The payload that the channel's type asks for"},
        "data_base64": {"type": "string", "description": "In place of data"},
    },
}
BATCH: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page; with Accept: application/cloudevents+json, as CloudEvents",
        "content": {
            "application/json": {"schema": {}},
            BATCH_TYPE.decode(): {"schema": {"type": "array", "items": CLOUDEVENT}},
        },
    }
}
"""The response of a page in the OpenAPI document."""
Gaps = Iterable[tuple[Mapping[str, Any], Position]]
"""The fields of gaps, and the reader's position after each."""


def cloudevents_wanted(manager: ConnectionManager, request: Request) -> CloudEvents | None:
    """What makes the CloudEvents that a request for a page asks for; None if it asks for none."""
    wanted = accepts_cloudevents(headers_by_name(request.scope["headers"]))
    return manager.cloud_encodings.cloudevents if wanted else None


def batch_response(
    cloudevents: CloudEvents, gaps: Gaps, events: Iterable[Event], page: Mapping[str, Any]
) -> Response:
    """A page. `page`: its other fields, such as its position."""
    found = [cloudevents.of_message("gap", fields, position) for fields, position in gaps]
    found += map(cloudevents.of_event, events)
    found.append(cloudevents.of_message("page", page))
    return Response(b"[%b]" % b",".join(found), media_type=BATCH_TYPE.decode())
