"""Compares the schemas of members and items, place by place.

The places of the writer are flat: what `allOf` and `$ref` add is among them.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import jsonschema_rs

from eventhub.events.compatibility.documents import SchemaDocument, SchemaNode, escaped
from eventhub.events.compatibility.questions import Places, Question, Refusal

CHILDREN = frozenset(
    {
        "additionalProperties",
        "contains",
        "items",
        "patternProperties",
        "prefixItems",
        "properties",
        "propertyNames",
        "required",
    }
)
"""The keywords that this file compares."""


class Comparison(Protocol):
    """What compares the schemas of a smaller value."""

    writer: SchemaDocument
    reader: SchemaDocument

    def compare(self, question: Question) -> list[Refusal]: ...

    def covers_part(self, question: Question, keyword: str, only: str | None = None) -> bool: ...

    def covers_alone(self, schema: Any, places: Places) -> bool: ...


class Children:
    """The keywords that are about members of objects and items of arrays."""

    def __init__(self, inclusion: Comparison) -> None:
        self._inclusion = inclusion
        self._rules: dict[str, Callable[[Question], list[Refusal]]] = {
            "additionalProperties": self._additional,
            "contains": self._contains,
            "items": self._items,
            "patternProperties": self._patterns,
            "prefixItems": self._prefix,
            "properties": self._properties,
            "propertyNames": self._names,
            "required": self._required,
        }

    def refusals(self, question: Question, keyword: str) -> list[Refusal]:
        """What one keyword of the reader refuses."""
        return self._rules[keyword](question)

    def _properties(self, question: Question) -> list[Refusal]:
        found: list[Refusal] = []
        for name in sorted(question.reader.schema["properties"]):
            if self._inclusion.covers_part(question, "properties", name):
                continue
            wanted = question.reader.child("properties", name)
            if given := _member(question.places, name):
                asked = question.below(given, wanted, fills=question.fills)
                found += self._inclusion.compare(asked)
            else:
                message = (
                    f"{self._inclusion.writer.name} does not name {name}, so it accepts any value "
                    f"of it; {self._inclusion.reader.name} does not"
                )
                found.append(Refusal(wanted.pointer, "property_added_to_open", message))
        return found

    def _required(self, question: Question) -> list[Refusal]:
        found = []
        for name in question.reader.schema["required"]:
            if self._inclusion.covers_alone({"required": [name]}, question.places):
                continue
            if question.fills and self._has_default(question.reader, name):
                continue
            message = (
                f"{self._inclusion.reader.name} requires {name}; "
                f"{self._inclusion.writer.name} does not"
            )
            pointer = f"{question.reader.pointer}/required/{escaped(name)}"
            found.append(Refusal(pointer, "required_added", message))
        return found

    def _has_default(self, reader: SchemaNode, name: str) -> bool:
        """Whether readers fill in a member that is missing, with a value that is valid."""
        declared = (reader.get("properties") or {}).get(name)
        if not isinstance(declared, dict) or "default" not in declared:
            return False
        return reader.child("properties", name).accepts(declared["default"])

    def _patterns(self, question: Question) -> list[Refusal]:
        found: list[Refusal] = []
        for pattern in sorted(question.reader.schema["patternProperties"]):
            if self._inclusion.covers_part(question, "patternProperties", pattern):
                continue
            wanted = question.reader.child("patternProperties", pattern)
            given = tuple(
                place.child("patternProperties", pattern)
                for place in question.places
                if pattern in (place.get("patternProperties") or {})
            )
            if given:
                found += self._inclusion.compare(question.below(given, wanted))
            else:
                message = f"{self._inclusion.writer.name} has no such pattern of names"
                found.append(Refusal(wanted.pointer, "pattern_properties_narrowed", message))
        return found

    def _additional(self, question: Question) -> list[Refusal]:
        reader = question.reader
        wanted = reader.child("additionalProperties")
        patterns = set(reader.get("patternProperties") or ())
        declared = set(reader.get("properties") or ())
        found: list[Refusal] = []
        for name in sorted(_declared(question.places) - declared):
            if any(_fits(pattern, name) for pattern in patterns):
                continue
            refused = self._inclusion.compare(
                question.below(_member(question.places, name), wanted)
            )
            if refused and wanted.schema is False:
                message = (
                    f"{self._inclusion.reader.name} has no {name}, and its object is closed; "
                    f"{self._inclusion.writer.name} accepts {name}"
                )
                pointer = f"{wanted.pointer}/{escaped(name)}"
                refused = [Refusal(pointer, "property_removed_from_closed", message)]
            found += refused
        return found + self._undeclared(question, wanted, patterns)

    def _undeclared(
        self, question: Question, wanted: SchemaNode, patterns: set[str]
    ) -> list[Refusal]:
        """What is refused of members that no schema names.

        One place is enough that restricts them: each has the schema of one of its patterns, or the
        schema of all others.
        """
        tried = []
        for place in question.places:
            if (rest := place.get("additionalProperties")) is None:
                continue
            others = (place.get("patternProperties") or {}).keys() - patterns
            given = [place.child("patternProperties", pattern) for pattern in sorted(others)]
            if rest is not False:
                given.append(place.child("additionalProperties"))
            asked = [question.below((schema,), wanted) for schema in given]
            refused = [each for one in asked for each in self._inclusion.compare(one)]
            if not refused:
                return []
            tried.append(refused)
        if tried and wanted.schema is not False:
            return tried[0]
        message = (
            f"{self._inclusion.writer.name} accepts members that it does not name; "
            f"{self._inclusion.reader.name} does not accept all of them"
        )
        return [Refusal(wanted.pointer, "additional_properties_narrowed", message)]

    def _names(self, question: Question) -> list[Refusal]:
        wanted = question.reader.child("propertyNames")
        given = tuple(
            place.child("propertyNames")
            for place in question.places
            if place.get("propertyNames") is not None
        )
        if given and not self._inclusion.compare(question.below(given, wanted)):
            return []
        message = (
            f"{self._inclusion.reader.name} does not accept all names of members that "
            f"{self._inclusion.writer.name} accepts"
        )
        return [Refusal(wanted.pointer, "property_names_narrowed", message)]

    def _prefix(self, question: Question) -> list[Refusal]:
        found: list[Refusal] = []
        for index in range(len(question.reader.schema["prefixItems"])):
            found += self._item(question, index, question.reader.child("prefixItems", index))
        return found

    def _items(self, question: Question) -> list[Refusal]:
        begin = len(question.reader.get("prefixItems") or ())
        end = max([begin, *(len(place.get("prefixItems") or ()) for place in question.places)])
        wanted = question.reader.child("items")
        found: list[Refusal] = []
        for index in range(begin, end + 1):
            found += self._item(question, index, wanted)
        return found

    def _item(self, question: Question, index: int, wanted: SchemaNode) -> list[Refusal]:
        if self._inclusion.covers_alone({"maxItems": index}, question.places):
            return []
        if given := _items_at(question.places, index):
            return self._inclusion.compare(question.below(given, wanted, fills=question.fills))
        if wanted.schema in (True, {}):
            return []
        message = f"{self._inclusion.writer.name} accepts any item here"
        return [Refusal(wanted.pointer, "items_narrowed", message)]

    def _contains(self, question: Question) -> list[Refusal]:
        wanted = question.reader.child("contains")
        if question.reader.get("maxContains") is None:
            least = question.reader.schema.get("minContains", 1)
            for place in question.places:
                if place.get("contains") is None or place.schema.get("minContains", 1) < least:
                    continue
                asked = question.below((place.child("contains"),), wanted)
                if not self._inclusion.compare(asked):
                    return []
        message = f"whether each array of {self._inclusion.writer.name} contains this is unknown"
        return [Refusal(wanted.pointer, "contains_narrowed", message)]


def _member(places: Places, name: str) -> Places:
    """The schemas that hold for a member."""
    found: list[SchemaNode] = []
    for place in places:
        named = name in (place.get("properties") or {})
        if named:
            found.append(place.child("properties", name))
        fitting = [each for each in place.get("patternProperties") or () if _fits(each, name)]
        found += [place.child("patternProperties", pattern) for pattern in fitting]
        if not named and not fitting and place.get("additionalProperties") is not None:
            found.append(place.child("additionalProperties"))
    return tuple(found)


def _items_at(places: Places, index: int) -> Places:
    """The schemas that hold for an item."""
    found: list[SchemaNode] = []
    for place in places:
        if index < len(place.get("prefixItems") or ()):
            found.append(place.child("prefixItems", index))
        elif place.get("items") is not None:
            found.append(place.child("items"))
    return tuple(found)


def _declared(places: Iterable[SchemaNode]) -> set[str]:
    return {name for place in places for name in place.get("properties") or ()}


def _fits(pattern: str, name: str) -> bool:
    """Whether a name fits a pattern, as the validator reads it."""
    return bool(jsonschema_rs.is_valid({"pattern": pattern}, name))
