"""eventhub_client/payloads.py: models to JSON and back."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from eventhub_client.errors import InvalidData
from eventhub_client.items import Deletion, Event
from eventhub_client.members import Rosters
from eventhub_client.payloads import encode, event_of, item_of
from tests.unit.client.shells import event


class Order(BaseModel):
    number: int = Field(alias="no")
    at: datetime


@dataclass
class Point:
    x: int
    inner: Order | None = None


class Colour(Enum):
    RED = "red"


AT = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        ({"text": "olá"}, '{"text":"olá"}'),
        (Order(no=1, at=AT), '{"no":1,"at":"2026-11-22T00:00:00Z"}'),
        (Point(1, Order(no=2, at=AT)), '{"x":1,"inner":{"no":2,"at":"2026-11-22T00:00:00Z"}}'),
        ({"at": AT}, '{"at":"2026-11-22T00:00:00+00:00"}'),
        ([Decimal("1.10"), UUID(int=1)], '["1.10","00000000-0000-0000-0000-000000000001"]'),
        ([Colour.RED], '["red"]'),
        (None, "null"),
    ],
)
def test_models_dataclasses_and_common_values_become_json(value: object, sent: str) -> None:
    assert encode(value) == sent.encode()


def test_what_is_no_json_is_told_before_it_is_sent() -> None:
    with pytest.raises(TypeError, match="received a set, which JSON does not have"):
        encode({1})
    with pytest.raises(TypeError, match="received a value of the type bytes, which JSON"):
        encode({"body": b""})
    with pytest.raises(ValueError, match="received NaN or Infinity, which JSON does not have"):
        encode(float("nan"))
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="Circular"):
        encode(circle)


def test_an_event_has_the_server_s_time_and_plain_json_without_a_model() -> None:
    found = event_of({**event("k-1"), "attributes": {"subject": "s"}, "by": "ana"}, None)
    assert found.time == datetime(2026, 11, 22, 20, 6, 0, 123000, UTC)
    assert (found.channel, found.id, found.data) == ("a.b", "k-1", 1)
    assert (found.attributes, found.by) == ({"subject": "s"}, "ana")


def test_data_becomes_the_model_a_dataclass_or_what_a_function_returns() -> None:
    order = event_of({**event("k-1"), "data": {"no": 7, "at": "2026-11-22T00:00:00Z"}}, Order)
    assert order.data == Order(no=7, at=AT)
    assert event_of({**event("k-1"), "data": {"x": 1}}, Point).data == Point(1)
    assert event_of(event("k-1"), str).data == "1"


def test_data_that_does_not_fit_names_the_event_and_the_model() -> None:
    with pytest.raises(InvalidData, match=r"a\.b k-1 does not fit Order"):
        event_of(event("k-1"), Order)


def test_edits_and_reactions_say_what_they_refer_to_and_a_deletion_has_no_data() -> None:
    edit = {**event("k-2"), "refers": "k-1", "relation": "edit"}
    found = item_of(edit, int, Rosters())
    assert isinstance(found, Event)
    assert (found.data, found.refers, found.relation) == (1, "k-1", "edit")
    gone = item_of({**edit, "data": None, "relation": "delete"}, int, Rosters())
    assert isinstance(gone, Deletion)
    assert (gone.key, gone.refers) == (None, "k-1")
