"""stored_schema.py: what is stored fits the schema that is served for it."""

import dataclasses
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, NotRequired
from uuid import UUID

import jsonschema_rs
import orjson
import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    SecretStr,
    computed_field,
    field_serializer,
    model_serializer,
)
from pydantic.alias_generators import to_camel
from typing_extensions import TypedDict

from eventhub.events.builtin_payloads import BUILT_IN
from eventhub.events.schema import AnySchema, FileSchema, ModelSchema, Schema
from eventhub.events.schema_loader import load_schema


class Side(Enum):
    BUY = 1
    SELL = 2


class Leg(BaseModel):
    """Says that defaults are always there, which they are not: they are not written."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=True)

    size: int
    price: Decimal = Decimal("1.5")


class Venue(TypedDict):
    name: str
    code: NotRequired[int]


@dataclasses.dataclass
class Party:
    name: str
    rank: int = 7


class Trade(BaseModel):
    """What stores something else than it accepts, in every way that pydantic has."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")

    amount: Decimal
    traded_at: datetime
    leg: Leg
    venue: Venue
    party: Party
    side: Side = Side.BUY
    took: timedelta = timedelta(seconds=1)
    ticket: UUID | None = None
    tags: set[str] = set()
    secret: SecretStr = SecretStr("")
    hidden: int = Field(default=3, exclude=True)
    renamed: int = Field(default=1, validation_alias="in", serialization_alias="out")
    options: Json[list[int]] = []
    day: date = date(2026, 1, 1)
    ordinal: Annotated[date, PlainSerializer(lambda day: day.toordinal())] = date(2026, 1, 1)

    @computed_field
    def total(self) -> Decimal:
        return self.amount * 2

    @field_serializer("day")
    def _day(self, day):  # type: ignore[no-untyped-def]  # as users write them
        return day.toordinal()


class Wrapped(BaseModel):
    value: int

    @model_serializer
    def _wrapped(self):  # type: ignore[no-untyped-def]  # as users write them
        return [self.value]


LEAST = {
    "amount": "1.10",
    "tradedAt": "2026-01-01T00:00:00Z",
    "leg": {"size": 1},
    "venue": {"name": "x"},
    "party": {"name": "y"},
}
MOST = {
    **LEAST, "amount": 1e5, "leg": {"size": 1, "price": 2}, "venue": {"name": "x", "code": 1},
    "party": {"name": "y", "rank": 1}, "side": 2, "took": "PT5S",
    "ticket": "12345678123456781234567812345678", "tags": ["a"], "secret": "s", "hidden": 5,
    "in": 9, "options": "[1,2]", "day": "2026-01-02", "ordinal": "2026-01-02",
}  # fmt: skip
NULLS = {**LEAST, "ticket": None}


def check(schema: Schema, payload: Any) -> Any:
    """What is stored of it, after both schemas were asked."""
    jsonschema_rs.Draft202012Validator(schema.accepted).validate(payload)
    stored = orjson.loads(schema.canonical(orjson.dumps(payload)))
    jsonschema_rs.Draft202012Validator(schema.stored).validate(stored)
    return stored


@pytest.mark.parametrize("payload", [LEAST, MOST, NULLS])
def test_what_a_model_stores_fits_the_schema_of_what_is_stored(payload: dict[str, Any]) -> None:
    schema = load_schema(f"{__name__}:Trade", Path(__file__).parent)
    stored = check(schema, payload)
    assert isinstance(stored["amount"], str), "a decimal is stored as a string"
    assert ("total" in stored, "hidden" in stored, "side" in stored) == (
        True,
        False,
        "side" in payload,
    )


def test_the_two_schemas_of_a_model_say_what_differs() -> None:
    schema = ModelSchema(Trade)
    accepted, stored = set(schema.accepted["properties"]), set(schema.stored["properties"])
    assert (accepted - stored, stored - accepted) == ({"hidden", "in"}, {"out", "total"})
    assert schema.stored["required"] == ["amount", "tradedAt", "leg", "venue", "party", "total"]
    assert schema.stored["properties"]["amount"]["type"] == "string"
    assert {"type": "number"} in schema.accepted["properties"]["amount"]["anyOf"]


def test_a_serializer_that_does_not_say_what_it_returns_may_return_anything() -> None:
    assert check(ModelSchema(Wrapped), {"value": 5}) == [5]


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("chat", {"sender": "ana", "text": "oi"}), ("log", {"level": "info", "message": "x"}),
        ("log", {"level": "info", "message": "x", "fields": {"a": None}, "logger": None}),
        ("reading", {"value": 1, "unit": None}),
    ],
)  # fmt: skip
def test_the_built_in_payloads_fit_theirs(name: str, payload: Any) -> None:
    check(ModelSchema(BUILT_IN[name]), payload)


@pytest.mark.parametrize("schema", [AnySchema(), FileSchema({"type": "array"})])
def test_a_schema_of_a_file_holds_for_both(schema: Schema) -> None:
    assert schema.accepted == schema.stored
    assert check(schema, [1, "x"]) == [1, "x"]
