"""Pairs of schemas, and values that tell them apart.

A pair is a random schema and a copy of it with one to three changes, so that many pairs are nearly
compatible. The vocabulary is small, so that the values hit it often.
"""

from collections.abc import Iterator
from copy import deepcopy
from itertools import product
from random import Random
from typing import Any

NAMES = ("a", "b", "ab")
SCALARS: tuple[Any, ...] = (None, True, False, -1, 0, 1, 2, 3, 1.5, "", "a", "b", "ab", "aab")
LISTS: tuple[Any, ...] = (
    [],
    [0],
    [1, "a"],
    [1, 1],
    ["a", "b"],
    [None],
    [1, 2, 3],
    [[1]],
    [{"a": 1}],
)
VALUES: list[Any] = [
    *SCALARS,
    *LISTS,
    {},
    *({name: value} for name in NAMES for value in (*SCALARS, [1], {}, {"a": 1}, {"b": "a"})),
    *(
        {"a": one, "b": other}
        for one, other in product((None, 0, 1, 1.5, "a", "ab", [1], {"a": 1}), repeat=2)
    ),
    {"a": 1, "b": "a", "ab": True},
    {"a": "a", "ab": 3},
    {"c": 1},
    {"c": "a", "a": 1},
]
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")


def pairs(seed: int, number: int) -> Iterator[tuple[Any, Any]]:
    """That many pairs of an old and a new schema."""
    random = Random(seed)
    for _ in range(number):
        old = schema(random, 3)
        new = deepcopy(old)
        for _ in range(random.randint(1, 3)):
            new = changed(random, new)
        yield (old, new) if random.random() < 0.5 else (new, old)


def schema(random: Random, depth: int) -> Any:
    """A random schema of at most this depth."""
    if random.random() < 0.05:
        return random.random() < 0.7
    found: dict[str, Any] = {}
    for _ in range(random.choice((1, 1, 2, 3))):
        found |= random.choice(KEYWORDS)(random, depth)
    return found


def changed(random: Random, old: Any) -> Any:
    """The schema with one change, at a random place."""
    if not isinstance(old, dict) or not old:
        return schema(random, 1)
    keyword = random.choice(sorted(old))
    value = old[keyword]
    if isinstance(value, dict) and value and random.random() < 0.7:
        if keyword in ("properties", "patternProperties", "dependentSchemas"):
            name = random.choice(sorted(value))
            return old | {keyword: value | {name: changed(random, value[name])}}
        if keyword != "dependentRequired":
            return old | {keyword: changed(random, value)}
    if keyword in ("allOf", "anyOf", "oneOf", "prefixItems") and random.random() < 0.7:
        index = random.randrange(len(value))
        return old | {keyword: [*value[:index], changed(random, value[index]), *value[index + 1 :]]}
    if random.random() < 0.4:
        return {name: each for name, each in old.items() if name != keyword}
    return old | random.choice(KEYWORDS)(random, 1)


def _type(random: Random, depth: int) -> dict[str, Any]:
    if random.random() < 0.7:
        return {"type": random.choice(TYPES)}
    return {"type": random.sample(TYPES, 2)}


def _values(random: Random, depth: int) -> dict[str, Any]:
    if random.random() < 0.4:
        return {"const": random.choice(SCALARS)}
    return {"enum": random.sample((None, 0, 1, "a", "ab", [1, 1], {"a": 1}), random.randint(1, 3))}


def _number(random: Random, depth: int) -> dict[str, Any]:
    name = random.choice(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
    return random.choice(
        ({name: random.randint(-1, 3)}, {"multipleOf": random.choice((1, 2, 0.5))})
    )


def _string(random: Random, depth: int) -> dict[str, Any]:
    name = random.choice(("minLength", "maxLength"))
    pattern = {"pattern": random.choice(("^a", "b$", "^a+b?$"))}
    return random.choice(({name: random.randint(0, 3)}, pattern))


def _array(random: Random, depth: int) -> dict[str, Any]:
    child = schema(random, depth - 1) if depth > 0 else True
    return random.choice(
        (
            {"items": child},
            {"prefixItems": [child, schema(random, 0)]},
            {"prefixItems": [child], "items": schema(random, 0)},
            {"contains": child},
            {"contains": child, "minContains": 2},
            {"minItems": random.randint(0, 2)},
            {"maxItems": random.randint(0, 2)},
            {"uniqueItems": True},
        )
    )


def _object(random: Random, depth: int) -> dict[str, Any]:
    child = schema(random, depth - 1) if depth > 0 else True
    name, other = random.sample(NAMES, 2)
    return random.choice(
        (
            {"properties": {name: child}},
            {"properties": {name: child, other: schema(random, 0)}},
            {"properties": {name: child}, "additionalProperties": False},
            {"additionalProperties": child},
            {"patternProperties": {random.choice(("^a", "b$")): child}},
            {"required": [name]},
            {"required": [name, other]},
            {"propertyNames": {"pattern": "^a"}},
            {"minProperties": random.randint(0, 2)},
            {"maxProperties": random.randint(0, 2)},
            {"dependentRequired": {name: [other]}},
            {"dependentSchemas": {name: child}},
            {"unevaluatedProperties": False},
        )
    )


def _combined(random: Random, depth: int) -> dict[str, Any]:
    if depth <= 0:
        return {}
    one, other, third = (schema(random, depth - 1) for _ in range(3))
    return random.choice(
        (
            {"anyOf": [one, other]},
            {"oneOf": [one, other]},
            {"allOf": [one, other]},
            {"not": one},
            {"if": one, "then": other},
            {"if": one, "then": other, "else": third},
        )
    )


KEYWORDS = (_type, _type, _values, _number, _string, _array, _object, _object, _combined)
