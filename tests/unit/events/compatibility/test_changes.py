"""The rules of schema evolution: published cases, directions, defaults, bounds."""

import json
import re
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from eventhub.events.compatibility.changes import (
    FORWARD_NAMES,
    MAX_CHANGES,
    Compatibility,
    SchemaPair,
    faults,
    pair_faults,
)
from eventhub.events.compatibility.documents import MAX_DEPTH
from eventhub.events.compatibility.inclusion import MAX_STEPS

VECTORS = Path(__file__).parents[1] / "vectors" / "compatibility.json"
CASES = json.loads(VECTORS.read_text(encoding="utf-8"))
BACKWARD, FORWARD, FULL = Compatibility.BACKWARD, Compatibility.FORWARD, Compatibility.FULL
TEXT, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def rules(old: Any, new: Any, mode: Compatibility = BACKWARD) -> list[tuple[str, str]]:
    return [(each.pointer, each.rule) for each in faults(old, new, mode)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_published_case(case: dict[str, Any]) -> None:
    found = rules(case["old"], case["new"])
    assert found == [tuple(each) for each in case["changes"]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_forward_is_backward_with_the_schemas_exchanged(case: dict[str, Any]) -> None:
    backward = rules(case["old"], case["new"])
    forward = rules(case["new"], case["old"], FORWARD)
    assert forward == [(pointer, FORWARD_NAMES.get(rule, rule)) for pointer, rule in backward]


def test_full_reports_both_directions() -> None:
    found = faults(closed(a=TEXT), closed(b=TEXT), FULL)
    assert [(each.direction, each.rule, each.pointer) for each in found] == [
        ("backward", "property_removed_from_closed", "/additionalProperties/a"),
        ("forward", "property_added_to_closed", "/additionalProperties/b"),
    ]


def test_none_reports_nothing() -> None:
    assert faults(TEXT, NUMBER, Compatibility.NONE) == []


def test_a_message_names_both_schemas_and_what_they_say() -> None:
    [found] = faults({"maximum": 11}, {"maximum": 10}, BACKWARD)
    assert str(found) == (
        "/maximum: the new schema has maximum 10; the old schema has maximum 11 "
        "(bound_tightened, backward)"
    )


@pytest.mark.parametrize(
    ("mode", "asked"),
    [
        ("none", (False, False, False)),
        ("backward", (True, False, False)),
        ("forward-transitive", (False, True, True)),
        ("full-transitive", (True, True, True)),
    ],
)
def test_what_a_mode_asks(mode: str, asked: tuple[bool, ...]) -> None:
    found = Compatibility(mode)
    assert (found.backward, found.forward, found.transitive) == asked


def test_a_new_required_member_with_a_valid_default_is_compatible() -> None:
    old = closed(a=TEXT)
    assert not rules(old, closed(a=TEXT, b=TEXT | {"default": "x"}) | {"required": ["b"]})
    refused = [("/required/b", "required_added")]
    assert rules(old, closed(a=TEXT, b=TEXT) | {"required": ["b"]}) == refused
    assert rules(old, closed(a=TEXT, b=TEXT | {"default": 1}) | {"required": ["b"]}) == refused


@pytest.mark.parametrize(
    "beside",
    [{"maxProperties": 1}, {"not": {"required": ["b"]}}, {"propertyNames": {"maxLength": 1}}],
    ids=lambda beside: next(iter(beside)),
)
def test_a_default_does_not_help_where_another_rule_sees_the_member(beside: dict[str, Any]) -> None:
    old = closed(a=TEXT) | beside
    new = closed(a=TEXT, b=TEXT | {"default": "x"}) | {"required": ["b"]} | beside
    assert ("/required/b", "required_added") in rules(old, new)


def test_a_recursive_schema_is_compared_with_its_successor() -> None:
    def tree(value: Any) -> dict[str, Any]:
        node = closed(value=value, children={"type": "array", "items": {"$ref": "#/$defs/node"}})
        return {"$ref": "#/$defs/node", "$defs": {"node": node}}

    assert not rules(tree(INTEGER), tree(NUMBER))
    assert rules(tree(NUMBER), tree(INTEGER)) == [
        ("/$defs/node/properties/value/type", "type_narrowed")
    ]


def test_a_model_reads_what_another_one_stored() -> None:
    class Trade(BaseModel):
        price: int
        parent: "Trade | None" = None

    class NextTrade(BaseModel):
        price: float
        parent: "NextTrade | None" = None
        venue: str

    def pair(model: type[BaseModel]) -> SchemaPair:
        adapter = TypeAdapter(model)
        return SchemaPair(
            adapter.json_schema(mode="serialization"), adapter.json_schema(mode="validation")
        )

    found = pair_faults(pair(Trade), pair(NextTrade), BACKWARD)
    assert [each.rule for each in found] == ["property_added_to_open", "required_added"]


def test_what_is_stored_is_compared_with_what_each_side_reads() -> None:
    either = {"type": ["string", "number"]}
    old, same = SchemaPair(TEXT, either), SchemaPair(TEXT, TEXT)
    assert pair_faults(old, same, FULL) == []  # no number was stored, and none will be
    found = pair_faults(old, SchemaPair(either, either), FULL)
    assert [(each.direction, each.rule) for each in found] == [("forward", "type_widened")]


def test_a_schema_that_refers_to_itself_about_the_same_value_is_undecidable() -> None:
    one = {"allOf": [{"$ref": "#/$defs/other"}]}
    other = {"allOf": [{"$ref": "#/$defs/one"}], "type": "string"}
    [found] = faults({}, one | {"$defs": {"one": one, "other": other}}, BACKWARD)
    assert found.rule == "undecidable"
    assert found.message.startswith("the new schema refers to itself at /")


def test_formats_are_rules_for_readers_and_prove_nothing_about_stored_text() -> None:
    date = TEXT | {"format": "date"}
    assert rules(TEXT, date) == [("/format", "format_changed")]
    assert not rules(date, TEXT)
    # a JSON Schema file checks no formats, so that this text may be of any length
    assert rules({"type": "string", "format": "ipv4"}, {"type": "string", "maxLength": 15}) == [
        ("/maxLength", "bound_tightened")
    ]


def nested(levels: int, inner: Any) -> Any:
    for _ in range(levels):
        inner = {"items": inner}
    return inner


def test_a_schema_that_nests_too_deeply_is_refused_with_the_bound() -> None:
    assert rules(nested(MAX_DEPTH - 2, INTEGER), nested(MAX_DEPTH - 2, NUMBER)) == []
    [found] = faults(nested(MAX_DEPTH, INTEGER), nested(MAX_DEPTH, NUMBER), BACKWARD)
    assert found.rule == "undecidable"
    assert found.message == f"the old schema nests deeper than {MAX_DEPTH} levels"


def test_a_schema_with_too_many_alternatives_is_refused_with_the_bound() -> None:
    numbers = count()

    def wide(shift: int) -> Any:
        def branch() -> Any:
            return {"properties": {f"p{next(numbers) % 5}": {"minimum": shift}}}

        return {"allOf": [{"anyOf": [branch() for _ in range(5)]} for _ in range(5)]}

    [found] = faults(wide(0), wide(1), BACKWARD)
    assert found.message == f"the schemas need more than {MAX_STEPS} comparisons"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "https://example.org/order.json"}, "the new schema cannot be compared: "),
        ({"$ref": "#/$defs/gone"}, "the new schema cannot be compared: "),
        ({"$dynamicRef": "#node"}, "the new schema cannot be compared: "),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_reference_that_leads_nowhere_is_undecidable(schema: Any, message: str) -> None:
    [found] = faults({}, schema, BACKWARD)
    assert found.rule == "undecidable"
    assert found.message.startswith(message)
    assert faults(schema, schema, FULL) == []


def test_a_bounded_number_of_changes_is_reported() -> None:
    old = closed(**{f"n{number}": TEXT for number in range(MAX_CHANGES + 10)})
    assert len(faults(old, closed(), BACKWARD)) == MAX_CHANGES


def test_the_page_lists_every_rule_in_both_directions() -> None:
    page = (Path(__file__).parents[4] / "docs" / "schemas.md").read_text(encoding="utf-8")
    table = page.partition("## Rules")[2]
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", table, re.MULTILINE))
    unchanged = ("format_changed", "pattern_changed", "undecidable")
    assert rows == FORWARD_NAMES | {rule: rule for rule in unchanged}
