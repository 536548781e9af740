"""events/defaults.py: members that are required, missing, and have a default."""

from typing import Any

import pytest

from eventhub.events.defaults import MAX_DEPTH, fill

CURRENCY = {"type": "string", "default": "EUR"}
PRICE = {"properties": {"currency": CURRENCY}, "required": ["currency"]}


@pytest.mark.parametrize(
    ("schema", "value", "filled"),
    [
        (PRICE, {"n": 1}, {"n": 1, "currency": "EUR"}),
        (PRICE, {"currency": "BRL"}, {"currency": "BRL"}),
        (PRICE, {"currency": None}, {"currency": None}),
        (PRICE, 5, 5),
        ({"properties": {"currency": CURRENCY}}, {}, {}),
        ({"properties": {"currency": {}}, "required": ["currency", "x"]}, {}, {}),
        ({"properties": {"price": PRICE}}, {"price": {}}, {"price": {"currency": "EUR"}}),
        ({"items": PRICE}, [{}, 1], [{"currency": "EUR"}, 1]),
        ({"prefixItems": [{}, PRICE], "items": {}}, [{}, {}], [{}, {"currency": "EUR"}]),
        ({"$ref": "#/$defs/p~1q", "$defs": {"p/q": PRICE}}, {}, {"currency": "EUR"}),
        ({"$ref": "#/$defs/gone"}, {}, {}),
        ({"$ref": "https://example.org/x"}, {}, {}),
        ({"anyOf": [PRICE]}, {}, {}),
        (True, {}, {}),
    ],
)
def test_what_is_filled(schema: Any, value: Any, filled: Any) -> None:
    assert fill(schema, value) == filled


def test_the_value_itself_is_not_changed() -> None:
    value: dict[str, Any] = {"price": {}}
    fill({"properties": {"price": PRICE}}, value)
    assert value == {"price": {}}


def test_a_schema_that_refers_to_itself_ends() -> None:
    assert fill({"$ref": "#"}, {"a": 1}) == {"a": 1}
    deep: Any = 1
    for _ in range(2 * MAX_DEPTH):
        deep = [deep]
    assert fill({"items": {"$ref": "#"}}, deep) == deep
