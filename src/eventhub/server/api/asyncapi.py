"""GET /asyncapi.json: the WebSocket interface as an AsyncAPI 3 document.

It is made from the command models and the declared channel types.
"""

from collections.abc import Iterable
from typing import Any

from eventhub import __version__
from eventhub.events.channel_names import NAME_LENGTH
from eventhub.events.channel_types import ChannelType, ChannelTypes, PublisherKind
from eventhub.events.references import Relation
from eventhub.session.commands import COMMANDS

TEXT: dict[str, Any] = {"type": "string"}
POSITION: dict[str, Any] = {"type": "string", "pattern": "^[a-z0-9]{1,16}-[0-9]+$"}
TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
REF: dict[str, Any] = {"type": ["integer", "string"]}
MEMBER: dict[str, Any] = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": TEXT, "data": {"type": "object"}},
}
MEMBERS: dict[str, Any] = {"type": "array", "items": MEMBER}
VERSION: dict[str, Any] = {"type": "integer", "minimum": 1}
COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
SECONDS: dict[str, Any] = {"type": "number", "minimum": 0}
ATTRIBUTES: dict[str, Any] = {"type": "object", "additionalProperties": TEXT}
REFERENCE: dict[str, Any] = {"refers": POSITION, "relation": {"enum": list(Relation)}}
FAULTS: dict[str, Any] = {
    "type": "array",
    "items": {"type": "object", "properties": {"pointer": TEXT, "message": TEXT}},
}

SERVER_MESSAGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "hello": ({"session": TEXT, "version": TEXT, "limits": {"type": "object"}}, {}),
    "subscribed": (
        {"channel": TEXT, "position": POSITION, "head": POSITION, "recovered": {"type": "boolean"}},
        {"ref": REF, "count": COUNT, "members": MEMBERS},
    ),
    "gap": (
        {
            "channel": TEXT,
            "after": {"anyOf": [POSITION, {"type": "null"}]},
            "before": POSITION,
            "position": POSITION,
            "reason": {"enum": ["expired", "reset", "slow", "conflated", "unreadable"]},
        },
        {"skipped": COUNT},
    ),
    "join": ({"channel": TEXT, "member": MEMBER}, {}),
    "leave": ({"channel": TEXT, "member": MEMBER}, {}),
    "update": ({"channel": TEXT, "member": MEMBER}, {}),
    "presence": ({"channel": TEXT, "count": COUNT}, {"members": MEMBERS}),
    "published": ({"channel": TEXT, "id": POSITION, "time": TIME}, {"ref": REF}),
    "signaled": ({"channel": TEXT}, {"ref": REF}),
    "updated": ({"channel": TEXT}, {"ref": REF}),
    "unsubscribed": ({"channel": TEXT, "reason": TEXT}, {"ref": REF}),
    "authenticated": ({"principal": TEXT}, {"ref": REF, "expires_in": SECONDS}),
    "expiring": ({"expires_in": SECONDS}, {}),
    "error": (
        {"code": TEXT, "message": TEXT},
        {"ref": REF, "id": POSITION, "details": FAULTS, "retry_after": SECONDS},
    ),
    "goodbye": ({"code": TEXT, "message": TEXT, "reconnect_in": SECONDS}, {}),
    "pong": ({}, {"ref": REF}),
}
"""Messages of the server other than events: required fields, then optional ones (PROTOCOL.md,
"Server to client").
"""


def document(types: ChannelTypes, host: str, *, secure: bool) -> dict[str, Any]:
    """The document for a server that is reached at `host`."""
    messages, schemas = _messages(types)
    sent_by_server = [name for name in messages if not name.startswith("send-")]
    sent_by_client = [name for name in messages if name.startswith("send-")]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "EventHub", "version": __version__, "description": _description(types)},
        "defaultContentType": "application/json",
        "servers": {"this": {"host": host, "protocol": "wss" if secure else "ws"}},
        "channels": {
            "session": {
                "address": "/v1/ws",
                "description": "One socket carries any number of channels; every message is a JSON"
                " object in a text frame",
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
            }
        },
        "operations": {
            "say": _operation("send", sent_by_server),
            "obey": _operation("receive", sent_by_client),
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _description(types: ChannelTypes) -> str:
    names = ", ".join(f"{channel_type.name}.*" for channel_type in types)
    published = [one.name for one in types if PublisherKind.CLIENT in one.publish]
    return (
        f"Typed channels: {names}; names of at most {NAME_LENGTH} characters. Clients may publish"
        f" to {', '.join(published) or 'none'}."
    )


def _messages(types: Iterable[ChannelType]) -> tuple[dict[str, Any], dict[str, Any]]:
    """All messages, and the schemas that they refer to."""
    messages = {
        name: _message(name, required, optional)
        for name, (required, optional) in SERVER_MESSAGES.items()
    }
    commands = {name: model.model_json_schema() for name, model in COMMANDS.items()}
    publish = commands.pop("publish")
    for name, payload in commands.items():
        place = f"#/components/messages/send-{name}/payload"
        messages[f"send-{name}"] = {"name": name, "payload": _moved(payload, place)}
    schemas: dict[str, Any] = {}
    for channel_type in types:
        name, schema = channel_type.name, channel_type.schema
        channel = {"type": "string", "pattern": rf"^{name}(\.|$)"}
        data = {"$ref": _add(schemas, f"{name}.stored", schema.stored)}
        fields = {"channel": channel, "id": POSITION, "time": TIME, "data": data}
        messages[f"event-{name}"] = _message(
            "event",
            fields,
            {"by": TEXT, **REFERENCE, "schema": VERSION, "attributes": ATTRIBUTES},
        )
        if channel_type.signals.publish:
            _add_signals(messages, schemas, channel_type, publish)
        if PublisherKind.CLIENT in channel_type.publish:
            data = {"$ref": _add(schemas, f"{name}.accepted", schema.accepted)}
            properties = {**publish["properties"], "channel": channel, "data": data}
            del properties["signal"]
            payload = {**publish, "properties": properties}
            messages[f"send-publish-{name}"] = {"name": "publish", "payload": payload}
    return messages, schemas


def _add_signals(
    messages: dict[str, Any],
    schemas: dict[str, Any],
    channel_type: ChannelType,
    publish: dict[str, Any],
) -> None:
    """Add the signals of a channel type: what its subscribers get, and what clients send."""
    name, schema = channel_type.name, channel_type.signals.schema or channel_type.schema
    channel = {"type": "string", "pattern": rf"^{name}(\.|$)"}
    data = {"$ref": _add(schemas, f"{name}.signal", schema.stored)}
    fields = {"channel": channel, "time": TIME, "data": data}
    optional = {"by": TEXT, "attributes": ATTRIBUTES}
    messages[f"signal-{name}"] = _message("signal", fields, optional)
    if PublisherKind.CLIENT in channel_type.signals.publish:
        sent = {"$ref": _add(schemas, f"{name}.signal-accepted", schema.accepted)}
        own = {"channel": channel, "data": sent, "signal": {"const": True}}
        properties = {**publish["properties"], **own}
        del properties["key"]
        required = [*publish["required"], "signal"]
        payload = {**publish, "properties": properties, "required": required}
        messages[f"send-signal-{name}"] = {"name": "publish", "payload": payload}


def _add(schemas: dict[str, Any], name: str, schema: dict[str, Any]) -> str:
    """Add a schema to the shared ones, and return a reference to it.

    The name of a channel type has no dot, so that no two schemas have the same name.
    """
    place = f"#/components/schemas/{name}"
    schemas[name] = _moved({key: value for key, value in schema.items() if key != "$schema"}, place)
    return place


def _moved(schema: Any, place: str) -> Any:
    """The schema, with references to itself that are valid at another place."""
    if isinstance(schema, list):
        return [_moved(item, place) for item in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {name: _moved(value, place) for name, value in schema.items()}
    if isinstance(target := moved.get("$ref"), str) and target.startswith("#"):
        moved["$ref"] = place + target[1:]
    return moved


def _message(name: str, required: dict[str, Any], optional: dict[str, Any]) -> dict[str, Any]:
    properties = {"type": {"const": name}, **required, **optional}
    return {
        "name": name,
        "payload": {"type": "object", "required": ["type", *required], "properties": properties},
    }


def _operation(action: str, names: list[str]) -> dict[str, Any]:
    """AsyncAPI names operations from the side of the application, which is the server."""
    return {
        "action": action,
        "channel": {"$ref": "#/channels/session"},
        "messages": [{"$ref": f"#/channels/session/messages/{name}"} for name in names],
    }
