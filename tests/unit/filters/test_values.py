"""filters/values.py: equality, order and membership, and what they cost."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from eventhub.filters.values import (
    LONG,
    EvaluationError,
    Exhausted,
    Run,
    TypeName,
    Uint,
    arithmetic,
    compare,
    contains,
    described,
    equal,
    kind_of,
    no_overload,
)

STEPS = 10_000


def run() -> Run:
    return Run({}, STEPS)


def spent(act: Callable[[Run], object]) -> int:
    """The steps that something takes."""
    found = run()
    act(found)
    return STEPS - found.left


def test_a_run_ends_with_the_first_step_that_is_not_left() -> None:
    found = Run({}, 3)
    found.spend(2)
    found.spend(1)
    with pytest.raises(Exhausted):
        found.spend(1)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([], []),
        ([1, "a"], [1.0, "a"]),
        ([[1], {"a": 2}], [[1], {"a": Uint(2)}]),
        ({}, {}),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}),
        (1, 1.0),
        (Uint(1), 1),
        ("x" * 2 * LONG, "x" * 2 * LONG),
        (None, None),
    ],
)
def test_values_are_equal(left: object, right: object) -> None:
    assert equal(run(), left, right)
    assert equal(run(), right, left)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([1, 2], [1]),
        ([1, 2], [1, 3]),
        ([1, 2], [3, 2]),
        ([1, 2], [2, 1]),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}),
        ({"a": 1, "b": 2}, {"a": 3, "b": 2}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {"b": 1}),
        ({"a": None}, {"b": None}),
        ([], {}),
        (True, 1),
        (False, 0.0),
        (None, False),
        ("1", 1),
        ("x" * 2 * LONG, "x" * (2 * LONG - 1) + "y"),
    ],
)
def test_values_are_not_equal(left: object, right: object) -> None:
    assert not equal(run(), left, right)
    assert not equal(run(), right, left)


def test_a_comparison_costs_what_it_looks_at() -> None:
    long = "x" * 3 * LONG
    assert spent(lambda one: equal(one, 1, 1)) == 0
    assert spent(lambda one: equal(one, [1, 2, 3], [1, 2, 3])) == 3
    assert spent(lambda one: equal(one, [[1, 2], [3]], [[1, 2], [3]])) == 2 + 2 + 1
    assert spent(lambda one: equal(one, {"a": [1, 2]}, {"a": [1, 2]})) == 1 + 2
    assert spent(lambda one: equal(one, long, "y" * len(long))) == 3
    assert spent(lambda one: equal(one, long, long + "y")) == 0, "the lengths say it"
    assert spent(lambda one: equal(one, "x" * LONG, "y" * LONG)) == 0
    assert spent(lambda one: compare("<", one, long, "y" * LONG)) == 1
    assert spent(lambda one: contains(one, 5, [1, 2, 3])) == 3
    assert spent(lambda one: contains(one, [1], [[1], [2]])) == 2 + 1
    assert spent(lambda one: contains(one, "a", {"a": 1})) == 0
    assert spent(lambda one: arithmetic("+", one, "x" * 64, "y" * 64)) == 2
    assert spent(lambda one: arithmetic("+", one, [1] * 100, [2] * 28)) == 2


@pytest.mark.parametrize(
    ("value", "container", "is_in"),
    [
        ("a", {"a": 1}, True),
        ("b", {"a": 1}, False),
        (True, {"a": 1}, False),
        (None, {"a": 1}, False),
        ("a", ["b", "a"], True),
        ("a", ["b"], False),
        (1, ["1", 1.0], True),
        (1, [True], False),
        (True, [1, "a"], False),
        ([1], [[2], [1]], True),
    ],
)
def test_a_value_is_in_a_list_or_among_the_keys_of_a_map(
    value: object,
    container: object,
    is_in: bool,  # noqa: FBT001
) -> None:
    assert contains(run(), value, container) is is_in


def test_a_list_is_no_key_of_a_map() -> None:
    assert contains(run(), [1], {"a": 1}) is False


@pytest.mark.parametrize(
    ("operator", "less", "same", "more"),
    [
        ("<", True, False, False),
        ("<=", True, True, False),
        (">", False, False, True),
        (">=", False, True, True),
    ],
)
def test_the_order_of_values(operator: str, less: bool, same: bool, more: bool) -> None:  # noqa: FBT001
    early = datetime(2026, 1, 1, tzinfo=UTC)
    for low, high in ((1, 2.5), ("a", "b"), (False, True), (early, early + timedelta(1))):
        assert compare(operator, run(), low, high) is less
        assert compare(operator, run(), low, low) is same
        assert compare(operator, run(), high, low) is more


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (None, "null_type", "null"),
        (2**63 - 1, "int", "an int"),
        (2**63, "uint", "a uint"),
        (Uint(1), "uint", "a uint"),
        (1.5, "double", "a double"),
        (datetime(2026, 1, 1, tzinfo=UTC), "google.protobuf.Timestamp", "a timestamp"),
        (timedelta(1), "google.protobuf.Duration", "a duration"),
        (TypeName("int"), "type", "a type"),
        ({}, "map", "a map"),
    ],
)
def test_values_have_the_types_of_the_specification(value: Any, kind: str, text: str) -> None:
    assert kind_of(value) == kind
    assert described(value) == text
    short = text.rpartition(" ")[2]
    assert str(no_overload("+", value, 1)) == f"+ does not take {short} and int"


def test_times_have_bounds() -> None:
    last = datetime.max.replace(tzinfo=UTC)
    for operator, left, right in (
        ("+", last, timedelta(1)),
        ("+", timedelta(1), last),
        ("+", timedelta.max, timedelta(1)),
        ("-", timedelta.min, timedelta(1)),
    ):
        with pytest.raises(EvaluationError, match="the time is out of range"):
            arithmetic(operator, run(), left, right)
