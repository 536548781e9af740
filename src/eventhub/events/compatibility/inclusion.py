"""Whether one schema accepts all values of another one, and otherwise where and why not.

What jsonschema_rs proves is included. Elsewhere each keyword of the reader's schema is compared
with the writer's. A keyword that no rule here decides is refused unless jsonschema_rs proves it, so
no inclusion is claimed that is not proven.

A recursive schema is compared once for each pair of places. There the inclusion is assumed for a
part of the value, which is smaller: values are finite.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import orjson

from eventhub.events.compatibility.children import CHILDREN, Children
from eventhub.events.compatibility.choices import alternatives
from eventhub.events.compatibility.documents import (
    BOUNDS,
    Incomparable,
    SchemaDocument,
    SchemaNode,
    canonical,
    disjoint,
    includes,
    proven,
)
from eventhub.events.compatibility.questions import Places, Question, Refusal

MAX_STEPS = 1_000
"""Pairs of places that are compared at most."""
MAX_LEVELS = 40
"""Comparisons inside each other. Each takes several calls of Python."""
SHOWN = 60
"""Characters of a value in a message."""
MAX_VALUES = 5
"""Values of an enumeration in a message."""

RULES = dict.fromkeys(BOUNDS, "bound_tightened") | {
    "const": "enum_value_removed",
    "dependentRequired": "dependency_added",
    "dependentSchemas": "dependency_added",
    "enum": "enum_value_removed",
    "format": "format_changed",
    "pattern": "pattern_changed",
    "type": "type_narrowed",
    "uniqueItems": "unique_items_added",
}
"""The rule that a keyword breaks when it refuses."""
UNDECIDED = (
    "$dynamicRef",
    "dependencies",
    "if",
    "not",
    "unevaluatedItems",
    "unevaluatedProperties",
)
"""Keywords that jsonschema_rs alone compares."""
KNOWN = CHILDREN | {"$ref", "allOf", "anyOf", "oneOf", *RULES, *UNDECIDED}
"""The keywords that can refuse a value."""
FILLABLE = frozenset(
    {
        "additionalProperties",
        "items",
        "maxItems",
        "minItems",
        "minProperties",
        "prefixItems",
        "properties",
        "required",
        "type",
    }
)
"""The keywords beside which a default can be filled in: no other one looks at the new member."""


class Inclusion:
    """Proves that a reader's schema accepts all values of a writer's."""

    def __init__(self, writer: SchemaDocument, reader: SchemaDocument) -> None:
        self.writer = writer
        self.reader = reader
        self._formats = (False, True) if writer.has_formats or reader.has_formats else (False,)
        self._assumed: dict[tuple[Places, SchemaNode, bool], int] = {}
        self._steps = 0
        self._children = Children(self)

    def refusals(self) -> list[Refusal]:
        """What the reader's schema refuses. Raises Incomparable."""
        return list(dict.fromkeys(self.compare(Question((self.writer.top,), self.reader.top))))

    def compare(self, question: Question) -> list[Refusal]:
        """Where the reader refuses values that the writer accepts. Raises Incomparable."""
        places, reader, level, fills = question
        if reader.schema in (True, {}) or self._covers(places, reader):
            return []
        key = places, reader, fills
        if (assumed := self._assumed.get(key)) is not None:
            if assumed < level:
                return []
            raise Incomparable(f"{self.reader.name} refers to itself at {reader.pointer or '/'}")
        self._spend()
        self._assumed[key] = level
        try:
            flat = self._flatten(places)
            found = self._keywords(question.of(flat, reader))
            if found and (cases := alternatives(flat)):
                compared = [self.compare(question.of(case, reader)) for case in cases]
                found = [each for refused in compared for each in refused]
        finally:
            del self._assumed[key]
        return found

    def covers_part(self, question: Question, keyword: str, only: str | None = None) -> bool:
        """Whether jsonschema_rs proves that one keyword of the reader accepts all values.

        `only`: for one name of the keyword's mapping.
        """
        part = partial(self.reader.part, question.reader, keyword, only)
        return self._proves(part, question.places)

    def covers_alone(self, schema: Any, places: Places) -> bool:
        """Whether jsonschema_rs proves that a schema without references accepts all values."""
        return self._proves(partial(canonical, schema), places)

    def _covers(self, places: Places, reader: SchemaNode) -> bool:
        return self._proves(partial(self.reader.form, (reader,)), places)

    def _proves(self, wide: Callable[..., Any], places: Places) -> bool:
        """Whether it is proven with formats as rules, and without: servers differ in that."""

        def holds(narrow: Callable[..., Any], *, formats: bool) -> bool:
            return includes(wide(formats=formats), narrow(places, formats=formats))

        return all(
            any(
                proven(partial(holds, narrow, formats=formats))
                for narrow in (self.writer.form, self.writer.shallow)
            )
            for formats in self._formats
        )

    def _spend(self) -> None:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise Incomparable(f"the schemas need more than {MAX_STEPS} comparisons")
        if len(self._assumed) >= MAX_LEVELS:
            raise Incomparable(f"the schemas need more than {MAX_LEVELS} comparisons in a row")

    def _flatten(self, places: Places) -> Places:
        """The places with what `allOf` and `$ref` add to them."""
        found: dict[SchemaNode, None] = {}
        waiting = list(places)
        while waiting:
            node = waiting.pop(0)
            if node in found:
                continue
            found[node] = None
            waiting += [node.child("allOf", index) for index in range(len(node.get("allOf") or ()))]
            if node.get("$ref") is not None:
                waiting.append(self.writer.find(node.schema["$ref"]))
        return tuple(found)

    def _keywords(self, question: Question) -> list[Refusal]:
        reader = question.reader
        if reader.schema is False:
            message = f"{self.reader.name} accepts nothing here; {self.writer.name} does"
            return [Refusal(reader.pointer, "type_narrowed", message)]
        keywords = sorted(reader.schema.keys() & KNOWN)
        whole = set(keywords) <= FILLABLE or keywords in (["$ref"], ["allOf"])
        asked = question.of(question.places, reader, fills=question.fills and whole)
        found: list[Refusal] = []
        for keyword in keywords:
            if keyword in UNDECIDED[-2:] or not self.covers_part(asked, keyword):
                found += self._keyword(asked, keyword)
        return found

    def _keyword(self, question: Question, keyword: str) -> list[Refusal]:
        places, reader, _, fills = question
        if keyword == "$ref":
            return self.compare(question.of(places, self.reader.find(reader.schema["$ref"])))
        if keyword == "allOf":
            number = len(reader.schema["allOf"])
            parts = [reader.child("allOf", index) for index in range(number)]
            asked = [question.of(places, part, fills=fills and number == 1) for part in parts]
            return [each for one in asked for each in self.compare(one)]
        if keyword in ("anyOf", "oneOf"):
            return self._choice(question, keyword)
        if keyword in CHILDREN:
            return self._children.refusals(question, keyword)
        return [self._refusal(places, reader, keyword)]

    def _choice(self, question: Question, keyword: str) -> list[Refusal]:
        """One alternative of the reader must accept everything; of `oneOf`, no other one may."""
        places, reader, _, _ = question
        branches = [reader.child(keyword, index) for index in range(len(reader.schema[keyword]))]
        near: list[list[Refusal]] = []
        for branch in branches:
            found = self.compare(question.of(places, branch, fills=False))
            others = [other for other in branches if other != branch]
            if not found and (keyword == "anyOf" or all(self._apart(places, o) for o in others)):
                return []
            if not self._apart(places, branch):
                near.append(found)
        if len(near) == 1 and near[0]:
            return near[0]
        message = (
            f"no alternative of {self.reader.name} is known to accept all that {self.writer.name} "
            f"accepts at {places[0].pointer or '/'}"
        )
        return [Refusal(f"{reader.pointer}/{keyword}", "alternative_removed", message)]

    def _apart(self, places: Places, branch: SchemaNode) -> bool:
        """Whether a branch is proven to accept no value of `places`."""

        def empty(*, deep: bool) -> bool:
            if deep:
                forms = (
                    self.writer.form(places, formats=False),
                    self.reader.form((branch,), formats=False),
                )
            else:
                one, other = self.writer.shallow, self.reader.shallow
                forms = one(places, formats=False), other((branch,), formats=False)
            return disjoint(*forms)

        return any(proven(partial(empty, deep=deep)) for deep in (True, False))

    def _refusal(self, places: Places, reader: SchemaNode, keyword: str) -> Refusal:
        """Why a keyword without rules of its own refuses."""
        rule = RULES.get(keyword, "undecidable")
        given = [place.schema[keyword] for place in places if place.get(keyword) is not None]
        had = f"has {keyword} {_shown(given[0])}" if given else f"has no {keyword}"
        if rule == "undecidable":
            message = f"whether {keyword} accepts all that {self.writer.name} accepts is unknown"
        elif lost := _lost_values(places, reader, keyword):
            message = f"{self.reader.name} does not accept {', '.join(lost)}"
        else:
            wanted = _shown(reader.schema[keyword])
            message = f"{self.reader.name} has {keyword} {wanted}; {self.writer.name} {had}"
        return Refusal(f"{reader.pointer}/{keyword}", rule, message)


def _lost_values(places: Places, reader: SchemaNode, keyword: str) -> list[str]:
    """The values of the writer's enumeration that are not in the reader's."""
    if keyword not in ("const", "enum"):
        return []
    for place in places:
        values = place.get("enum") or [place.schema[key] for key in ("const",) if place.get(key)]
        lost = [_shown(value) for value in values if not reader.accepts(value)]
        if lost:
            return lost[:MAX_VALUES]
    return []


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
