"""Values of the application to JSON, and JSON to its models."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from datetime import date, time
from decimal import Decimal
from enum import Enum
from typing import Any
from uuid import UUID

from eventhub_client.errors import InvalidData, Problem
from eventhub_client.items import (
    Deletion,
    Event,
    Gap,
    Presence,
    Signal,
    deletion_of,
    gap_of,
    moment,
    signal_of,
)
from eventhub_client.members import Rosters

NOT_FINITE = "Out of range float"
"""How the message of the standard library begins."""
Model = Callable[..., Any] | None
"""A pydantic model, a dataclass, or any function of the JSON value."""


@dataclasses.dataclass(frozen=True, slots=True)
class Encoded:
    """An event that is JSON already."""

    json: bytes


def encode(value: object) -> bytes:
    """One event as JSON. Raises TypeError or ValueError for what JSON lacks, such as NaN."""
    if isinstance(value, Encoded):
        return value.json
    try:
        text = json.dumps(
            value, default=_plain, allow_nan=False, ensure_ascii=False, separators=(",", ":")
        )
        return text.encode()
    except RecursionError:
        raise ValueError("received an event that nests too deeply to be JSON") from None
    except UnicodeEncodeError as error:
        half = error.object[error.start : error.end]
        raise ValueError(
            f"received an event with {half!r}, which is half a character; expected Unicode"
        ) from None
    except ValueError as error:
        if str(error).startswith(NOT_FINITE):
            raise ValueError(
                "received NaN or Infinity, which JSON does not have; expected a finite number"
            ) from None
        raise


def _plain(value: Any) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, UUID | Decimal):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    kind = type(value).__name__
    if isinstance(value, set | frozenset):
        raise TypeError(f"received a {kind}, which JSON does not have; expected a list")
    raise TypeError(
        f"received a value of the type {kind}, which JSON does not have; "
        "expected a dict, a list, a str, a number, a pydantic model or a dataclass"
    )


def item_of(
    message: Mapping[str, Any], model: Model, rosters: Rosters
) -> Event[Any] | Deletion | Gap | Signal | Presence:
    """What a follower gets for a message. Raises InvalidData for an event that does not fit."""
    match message["type"]:
        case "event":
            is_deletion = "deleted" in message or message.get("relation") == "delete"
            return deletion_of(message) if is_deletion else event_of(message, model)
        case "gap":
            return gap_of(message)
        case "signal":
            return signal_of(message)
    return rosters.presence_of(message)


def event_of(message: Mapping[str, Any], model: Model) -> Event[Any]:
    """From an `event` message. Raises InvalidData."""
    return Event(
        message["channel"],
        message["id"],
        moment(message["time"]),
        message["data"] if model is None else _fit(message, model),
        message.get("attributes", {}),
        message.get("by"),
        message.get("key"),
        message.get("refers"),
        message.get("relation"),
        message.get("schema"),
    )


def _fit(message: Mapping[str, Any], model: Callable[..., Any]) -> object:
    data = message["data"]
    try:
        if hasattr(model, "model_validate"):
            return model.model_validate(data)
        return model(**data) if dataclasses.is_dataclass(model) else model(data)
    except Exception as fault:
        name = getattr(model, "__name__", "the model")
        said = f"{message['channel']} {message['id']} does not fit {name}: {fault}"
        raise InvalidData(Problem("invalid_data", said, 422)) from fault
