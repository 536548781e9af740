"""Payload schemas of each kind, for tests."""

from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from pydantic import BaseModel, Field, Json

from eventhub.errors import EventHubError, InvalidEvent
from eventhub.events.schema import FileSchema, Schema
from eventhub.events.schema_loader import load_schema

thorough = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])


HERE = Path()


ANY = load_schema("json", HERE)


CHAT = load_schema("chat", HERE)


LOG = load_schema("log", HERE)


READING = load_schema("reading", HERE)


FORM = FileSchema(
    {
        "type": "object",
        "properties": {
            "count": {"type": "integer"},
            "a/b~c": {"type": "string"},
            "rows": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["count"],
        "additionalProperties": {"type": "array", "items": {"type": "string"}},
    }
)


class Order(BaseModel):
    """A model of a deployment, which `package.module:Model` names."""

    conflation_key: ClassVar[str | None] = "item"

    item: str
    price: float = 0
    unit_count: int = Field(default=1, alias="unitCount")
    note: int | str = ""
    options: Json[dict[str, int]] | None = None


class Plain(BaseModel):
    """A model that says nothing of series."""

    anything: Any = None


ORDER = load_schema(f"{__name__}:Order", HERE)


def refused(schema: Schema, body: bytes) -> EventHubError:
    with pytest.raises(EventHubError) as caught:
        schema.canonical(body)
    return caught.value


def outcome(schema: Schema, body: bytes) -> bytes | EventHubError:
    try:
        return schema.canonical(body)
    except EventHubError as error:
        return error


def pointers(schema: Schema, body: bytes) -> list[str]:
    error = refused(schema, body)
    assert isinstance(error, InvalidEvent)
    return [fault["pointer"] for fault in error.details]


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("this costs too much to be done here")
