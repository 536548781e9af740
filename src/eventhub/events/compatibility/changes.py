"""The rules of schema evolution: which schema may follow another one.

BACKWARD asks that new readers understand old events, FORWARD that old readers understand new ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from eventhub.events.compatibility.documents import Incomparable, SchemaDocument
from eventhub.events.compatibility.inclusion import Inclusion

MAX_CHANGES = 100
"""Incompatible changes that are reported at most."""
FORWARD_NAMES = {
    "alternative_removed": "alternative_added",
    "additional_properties_narrowed": "additional_properties_widened",
    "bound_tightened": "bound_loosened",
    "contains_narrowed": "contains_widened",
    "dependency_added": "dependency_removed",
    "enum_value_removed": "enum_value_added",
    "items_narrowed": "items_widened",
    "pattern_properties_narrowed": "pattern_properties_widened",
    "property_added_to_open": "property_removed_from_open",
    "property_names_narrowed": "property_names_widened",
    "property_removed_from_closed": "property_added_to_closed",
    "required_added": "required_removed",
    "type_narrowed": "type_widened",
    "unique_items_added": "unique_items_removed",
}
"""The rule that a change breaks when it is read from the new schema to the old one."""


class Compatibility(StrEnum):
    """What a new schema of a channel type must keep, as schema registries name it."""

    NONE = "none"
    BACKWARD = "backward"
    FORWARD = "forward"
    FULL = "full"
    BACKWARD_TRANSITIVE = "backward-transitive"
    FORWARD_TRANSITIVE = "forward-transitive"
    FULL_TRANSITIVE = "full-transitive"

    @property
    def transitive(self) -> bool:
        """Whether every older version counts, and not the newest one alone."""
        return self.endswith("-transitive")

    @property
    def backward(self) -> bool:
        """Whether the new schema must accept what older ones accept."""
        return self.startswith(("backward", "full"))

    @property
    def forward(self) -> bool:
        """Whether older schemas must accept what the new one accepts."""
        return self.startswith(("forward", "full"))


@dataclass(frozen=True, slots=True)
class IncompatibleChange:
    """A place where one schema accepts values that the other refuses.

    `pointer` is a JSON pointer into the schema that refuses: the new one for BACKWARD, the old one
    for FORWARD.
    """

    direction: str
    pointer: str
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.pointer or '/'}: {self.message} ({self.rule}, {self.direction})"


@dataclass(frozen=True, slots=True)
class SchemaPair:
    """The two forms of a schema: what is stored, and what publishers may send."""

    stored: Any
    accepted: Any


def faults(old: Any, new: Any, mode: Compatibility) -> list[IncompatibleChange]:
    """The changes from `old` to `new` that break the mode. Both are JSON Schemas (2020-12)."""
    return pair_faults(SchemaPair(old, old), SchemaPair(new, new), mode)


def pair_faults(old: SchemaPair, new: SchemaPair, mode: Compatibility) -> list[IncompatibleChange]:
    """The changes that break the mode, for schemas that store another form than they accept.

    A node with the new schema reads what the old one stored, as it reads what publishers send. Old
    readers know what the old schema stores, and read what the new one stores.
    """
    found: list[IncompatibleChange] = []
    if mode.backward:
        found += _missing(old.stored, new.accepted, ("the old schema", "the new schema"))
    if mode.forward:
        found += _missing(new.stored, old.stored, ("the new schema", "the old schema"))
    return found[:MAX_CHANGES]


def _missing(written: Any, read: Any, names: Sequence[str]) -> list[IncompatibleChange]:
    """Where the reader refuses what the writer accepts."""
    if written == read:
        return []
    backward = names[0] == "the old schema"
    direction = "backward" if backward else "forward"
    writer, reader = SchemaDocument(written, names[0]), SchemaDocument(read, names[1])
    try:
        writer.check()
        reader.check()
        refusals = Inclusion(writer, reader).refusals()
    except Incomparable as error:
        return [IncompatibleChange(direction, "", "undecidable", str(error))]
    return [
        IncompatibleChange(
            direction, pointer, rule if backward else FORWARD_NAMES.get(rule, rule), message
        )
        for pointer, rule, message in refusals
    ]
