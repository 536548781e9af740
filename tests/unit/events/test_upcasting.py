"""events/upcasting.py: events of older versions become those of this node, or stay as they are."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from eventhub.events.channel_types import (
    ChannelType,
    PublisherKind,
    Retention,
    SlowReaderPolicy,
)
from eventhub.events.compatibility.versions import TypeVersion, Upcast
from eventhub.events.event import Event
from eventhub.events.schema import FileSchema, ModelSchema, Schema
from eventhub.events.upcasting import Upcaster

TOTAL = FileSchema(
    {
        "type": "object",
        "properties": {"total": {"type": "number"}, "currency": {"default": "EUR"}},
        "required": ["total", "currency"],
        "additionalProperties": False,
    }
)


def renamed(data: Any) -> Any:
    return {"total": data.pop("sum"), **data}


def in_cents(data: Any) -> Any:
    return {**data, "total": data["total"] / 100}


class Reading:
    """An upcaster of a type whose own version is 3, and what it told of failures."""

    def __init__(self, steps: Mapping[int, Upcast], schema: Schema = TOTAL) -> None:
        version = TypeVersion(upcasts=steps)
        version.settle(3, 3)
        kind = ChannelType(
            "orders",
            "order.json",
            schema,
            Retention(10, None),
            presence=False,
            slow=SlowReaderPolicy.DROP,
            publish=frozenset(PublisherKind),
            version=version,
        )
        self.failures: list[tuple[str, int, str]] = []
        self._upcaster = Upcaster(kind, steps, self._failed)

    def of(self, data: Any, schema: str | None, **attributes: str) -> tuple[Any, str | None]:
        """The data and the version of an event as it is read."""
        stored = attributes if schema is None else {**attributes, "schema": schema}
        event = Event("orders.eu", "k3x9", 2, 1, 0, orjson.dumps(data), stored)
        read = self._upcaster.read(event)
        found = read.attributes or {}
        assert {**found, "schema": ""} == {**stored, "schema": ""}
        assert read._replace(data=b"", attributes=None) == event._replace(data=b"", attributes=None)
        return orjson.loads(read.data), found.get("schema")

    def _failed(self, name: str, version: int, error: BaseException) -> None:
        self.failures.append((name, version, str(error)))


CHAIN = {1: Upcast(2, renamed), 2: Upcast(3, in_cents)}


@pytest.mark.parametrize(
    ("data", "schema", "read"),
    [
        ({"sum": 150}, "1", {"total": 1.5, "currency": "EUR"}),
        ({"total": 150, "currency": "BRL"}, "2", {"total": 1.5, "currency": "BRL"}),
        ({"total": 1.5, "currency": "BRL"}, "3", {"total": 1.5, "currency": "BRL"}),
    ],
)
def test_an_older_event_goes_through_each_step_after_its_version(
    data: Any, schema: str, read: Any
) -> None:
    assert Reading(CHAIN).of(data, schema, by="ana") == (read, "3")


def test_a_step_may_leap_over_versions() -> None:
    assert Reading({1: Upcast(3, renamed)}).of({"sum": 2}, "1")[0]["total"] == 2


def test_without_a_step_the_defaults_of_the_schema_fill_in() -> None:
    assert Reading({}).of({"total": 2}, "1") == ({"total": 2, "currency": "EUR"}, "3")


def test_a_model_makes_its_own_form_of_an_older_event() -> None:
    class Order(BaseModel):
        total: int
        note: str = ""

    assert Reading({}, ModelSchema(Order)).of({"total": "7"}, "1") == ({"total": 7}, "3")


@pytest.mark.parametrize("schema", ["4", None, "x"])
def test_a_newer_event_and_one_without_a_version_stay_as_they_are(schema: str | None) -> None:
    reading = Reading(CHAIN)
    assert reading.of({"sum": 2}, schema) == ({"sum": 2}, schema)
    assert reading.failures == []


def test_an_event_without_attributes_stays_as_it_is() -> None:
    version = TypeVersion()
    version.settle(3, 3)
    event = Event("orders.eu", "k3x9", 2, 1, 0, b"1", None)
    assert Upcaster(Reading(CHAIN)._upcaster.channel_type, {}, lambda *_: None).read(event) is event


def leaves(data: Any) -> Any:
    raise SystemExit(1)


@pytest.mark.parametrize(
    ("function", "to", "why"),
    [
        (lambda data: data["gone"], 2, "'gone'"),
        (leaves, 2, "1"),
        (lambda data: {"total": "two"}, 3, "the event does not fit"),
        (lambda data: object(), 3, "Type is not JSON serializable"),
        (renamed, 4, "upcast from 1 leads to 4, beyond 3"),
    ],
)
def test_what_cannot_be_upcast_is_read_as_it_is_stored_and_told(
    function: Callable[[Any], Any], to: int, why: str
) -> None:
    reading = Reading({1: Upcast(to, function)})
    assert reading.of({"sum": 2}, "1") == ({"sum": 2}, "1")
    ((name, version, told),) = reading.failures
    assert (name, version) == ("orders", 1)
    assert why in told
