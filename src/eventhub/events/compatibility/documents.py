"""Places in a JSON Schema document, and what jsonschema_rs can prove about them.

`covers` of jsonschema_rs proves or cannot prove that one schema accepts all values of another. It
gives no reason; inclusion.py finds the place and the rule.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

import jsonschema_rs
import orjson
from jsonschema_rs.canonical import Containment, Satisfiability

ADDRESS = "urn:eventhub:schema"
MAX_DEPTH = 60
"""Levels of a schema. The prover and its native code are recursive."""


MAPS = frozenset({"dependentSchemas", "patternProperties", "properties"})
LISTS = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
SINGLES = frozenset(
    {
        "additionalProperties",
        "contains",
        "else",
        "if",
        "items",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords whose values are schemas, in a mapping, in a list, and alone."""
BOUNDS = (
    "exclusiveMaximum",
    "exclusiveMinimum",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
)
FLAT = frozenset(
    {
        *BOUNDS,
        "const",
        "dependentRequired",
        "enum",
        "format",
        "pattern",
        "required",
        "type",
        "uniqueItems",
    }
)
"""Keywords that refuse values and hold no schema."""
COMPANIONS = {
    "additionalProperties": ("patternProperties", "properties"),
    "contains": ("maxContains", "minContains"),
    "if": ("else", "then"),
    "items": ("prefixItems",),
}
"""Keywords that change what another one means."""


class Incomparable(Exception):
    """A schema that cannot be compared, and why."""


@dataclass(frozen=True, eq=False)
class SchemaDocument:
    """A whole JSON Schema. `name` is how messages call it: `the old schema`."""

    root: Any
    name: str
    _forms: dict[tuple[str, bool], Any] = field(default_factory=dict, repr=False)

    @property
    def top(self) -> "SchemaNode":
        """The place of the whole schema."""
        return SchemaNode(self, "", self.root)

    @cached_property
    def has_formats(self) -> bool:
        """Whether a schema names a format."""
        return b'"format":' in orjson.dumps(self.root)

    def check(self) -> None:
        """Raises Incomparable when the document nests too deeply, or has unknown references."""
        depth, level = 0, [self.root]
        while level:
            depth += 1
            if depth > MAX_DEPTH:
                raise Incomparable(f"{self.name} nests deeper than {MAX_DEPTH} levels")
            level = [each for outer in level for each in _inner(outer)]
        _guarded(lambda: self.form((self.top,), formats=True), self.name)

    def form(self, places: Sequence["SchemaNode"], *, formats: bool) -> Any:
        """The values that all the places accept, as jsonschema_rs writes them."""
        key = "&".join(place.pointer for place in places), formats
        if (found := self._forms.get(key)) is None:
            references = [_reference(place) for place in places]
            found = self._forms[key] = canonical(
                {"allOf": references}, formats=formats, registry=self._registry
            )
        return found

    def shallow(self, places: Sequence["SchemaNode"], *, formats: bool) -> Any:
        """At least the values of the places: what their keywords without schemas say.

        Native code proves little of recursive schemas, and this part of them is not recursive.
        """
        parts = [
            {key: value for key, value in place.schema.items() if key in FLAT}
            for place in places
            if isinstance(place.schema, dict)
        ]
        return canonical({"allOf": parts or [{}]}, formats=formats)

    def part(
        self, place: "SchemaNode", keyword: str, only: str | None = None, *, formats: bool
    ) -> Any:
        """The values that one keyword of a schema accepts, with those that it depends on.

        `only`: with one name of the keyword's mapping.
        """
        schema = {keyword: _by_reference(place, keyword)}
        if only is not None:
            schema = {keyword: {only: schema[keyword][only]}}
        for name in COMPANIONS.get(keyword, ()):
            if name in place.schema:
                value = _by_reference(place, name)
                schema[name] = _anything(value) if name in (*MAPS, *LISTS) else value
        return canonical(schema, formats=formats, registry=self._registry)

    def find(self, reference: str) -> "SchemaNode":
        """The place that a `$ref` names. Raises Incomparable."""
        pointer = unquote(reference[1:])
        if not reference.startswith("#") or (pointer and not pointer.startswith("/")):
            raise Incomparable(f"{self.name} refers to {reference}; expected a JSON pointer (#/…)")
        found = self.root
        try:
            for token in pointer.split("/")[1:]:
                step = token.replace("~1", "/").replace("~0", "~")
                found = found[int(step)] if isinstance(found, list) else found[step]
        except (KeyError, IndexError, ValueError, TypeError):
            raise Incomparable(f"{self.name} refers to {reference}, which it has not") from None
        return SchemaNode(self, pointer, found)

    @cached_property
    def _registry(self) -> Any:
        return jsonschema_rs.Registry([(ADDRESS, self.root)], draft=jsonschema_rs.Draft202012)


@dataclass(frozen=True)
class SchemaNode:
    """A schema at its place in a document."""

    document: SchemaDocument = field(repr=False)
    pointer: str
    schema: Any = field(compare=False, hash=False)

    def child(self, *tokens: str | int) -> "SchemaNode":
        """The schema below this one."""
        found, pointer = self.schema, self.pointer
        for token in tokens:
            found = found[token]
            pointer += "/" + escaped(token)
        return SchemaNode(self.document, pointer, found)

    def accepts(self, value: Any) -> bool:
        """Whether a value is known to be valid."""
        form = self.document.form((self,), formats=True)
        return proven(lambda: includes(form, canonical({"const": value}, formats=True)))

    def get(self, keyword: str) -> Any:
        """The value of a keyword, or None."""
        return self.schema.get(keyword) if isinstance(self.schema, dict) else None


def escaped(token: str | int) -> str:
    """A part of a JSON pointer (RFC 6901, 3)."""
    return str(token).replace("~", "~0").replace("/", "~1")


def _by_reference(place: "SchemaNode", keyword: str) -> Any:
    """The value of a keyword, with references to the schemas in it."""
    value = place.schema[keyword]
    if keyword in SINGLES:
        return _reference(place.child(keyword))
    if keyword in MAPS:
        return {name: _reference(place.child(keyword, name)) for name in value}
    if keyword in LISTS:
        return [_reference(place.child(keyword, index)) for index in range(len(value))]
    return value


def _reference(place: "SchemaNode") -> dict[str, str]:
    return {"$ref": f"{ADDRESS}#{quote(place.pointer)}"}


def _anything(schemas: Any) -> Any:
    """As many schemas, which accept every value."""
    return dict.fromkeys(schemas, True) if isinstance(schemas, dict) else [True] * len(schemas)


def canonical(schema: Any, *, formats: bool = False, registry: Any = None) -> Any:
    """The canonical form of a schema of its own."""
    return jsonschema_rs.canonicalize(
        schema,
        draft=jsonschema_rs.Draft202012,
        validate_formats=formats,
        registry=registry,
        offline=True,
    )


def includes(wide: Any, narrow: Any) -> bool:
    """Whether the first of two canonical forms is proven to accept all values of the second."""
    return bool(wide.covers(narrow) is Containment.YES)


def disjoint(one: Any, other: Any) -> bool:
    """Whether no value is proven to be in both canonical forms."""
    return bool(one.intersect(other).satisfiability() is Satisfiability.NO)


def proven(claim: Callable[[], bool]) -> bool:
    """Whether a claim of native code holds. What it cannot answer is not proven."""
    try:
        return bool(_guarded(claim, ""))
    except Incomparable:
        return False


def _guarded(call: Callable[[], Any], name: str) -> Any:
    try:
        return call()
    except (KeyboardInterrupt, SystemExit, MemoryError):
        raise
    except BaseException as error:  # a panic of native code is no Exception
        raise Incomparable(f"{name} cannot be compared: {error}") from None


def _inner(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
