"""Inclusion of schemas, over generated pairs."""

import json
from typing import Any

import jsoncompat
import jsonschema_rs
import pytest

from eventhub.events.compatibility.changes import Compatibility, faults
from tests.unit.events.compatibility.generated import VALUES, pairs

PAIRS = 800
MANY_PAIRS = 20_000


def witnesses(old: Any, new: Any) -> list[Any]:
    """Values that the old schema accepts and the new one refuses."""
    accepts, refuses = map(jsonschema_rs.Draft202012Validator, (old, new))
    return [value for value in VALUES if accepts.is_valid(value) and not refuses.is_valid(value)]


def oracle(old: Any, new: Any) -> bool | None:
    """Whether jsoncompat finds that `new` accepts what `old` accepts; None if it cannot say."""
    try:
        # a serializer's new schema must be within its old one
        return bool(jsoncompat.check_compat(json.dumps(new), json.dumps(old), "serializer"))
    except ValueError:
        return None


def compare_pairs(seed: int, number: int) -> None:
    agreed = missed = 0
    for old, new in pairs(seed, number):
        compatible = not faults(old, new, Compatibility.BACKWARD)
        refuting = witnesses(old, new)
        assert not (compatible and refuting), f"{old} -> {new} refuses {refuting[0]!r}"
        if oracle(old, new) and not refuting:
            agreed += compatible
            missed += not compatible
    assert agreed > number / 5
    assert missed <= agreed / 20, f"{missed} of {agreed + missed} inclusions are not found"


def test_no_inclusion_is_claimed_that_a_value_refutes_and_few_of_jsoncompat_are_missed() -> None:
    compare_pairs(1, PAIRS)


@pytest.mark.proof
def test_the_same_holds_for_many_pairs() -> None:
    compare_pairs(2, MANY_PAIRS)
