"""Which version a schema has, given those that were accepted before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from eventhub.errors import BrokerUnavailable, ConfigurationError
from eventhub.events.compatibility.changes import Compatibility, SchemaPair, pair_faults
from eventhub.events.event import SCHEMA

SHOWN_CHANGES = 10
"""Changes in the message of a refusal."""


class Upcast(NamedTuple):
    """A function that makes the data of version `to` of what an older version accepted."""

    to: int
    function: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class KeptSchema:
    """A version of a channel type's schema, as the broker keeps it."""

    version: int
    schemas: SchemaPair

    def dump(self) -> bytes:
        """Its record."""
        return orjson.dumps(
            {
                "version": self.version,
                "accepted": self.schemas.accepted,
                "stored": self.schemas.stored,
            }
        )

    @classmethod
    def load(cls, record: bytes) -> "KeptSchema":
        """From its record. Raises ValueError, KeyError, TypeError."""
        found = orjson.loads(record)
        return cls(int(found["version"]), SchemaPair(found["stored"], found["accepted"]))

    def is_of(self, schemas: SchemaPair) -> bool:
        """Whether it has the same text, in any order of members."""
        return _text(self.schemas) == _text(schemas)


@dataclass(slots=True, eq=False)
class TypeVersion:
    """The version of a channel type's own schema. `number` is None until the broker has told it."""

    compatibility: Compatibility = Compatibility.NONE
    wanted: int | None = None
    """The version that the configuration gives it."""
    number: int | None = None
    newest: int | None = None
    """The newest version that any node has had accepted, when this one last looked."""
    upcasts: Mapping[int, Upcast] = field(default_factory=dict)
    """What makes newer data of older, by the older version."""
    own: str = ""
    """`number` as events store it."""
    _stamp: dict[str, str] = field(default_factory=dict)

    def settle(self, number: int, newest: int) -> None:
        """The broker has told."""
        self.number, self.newest = number, newest
        self.own = str(number)
        self._stamp = {SCHEMA: self.own}

    def stamp(self) -> dict[str, str]:
        """The attribute to store with each event. Raises BrokerUnavailable before `settle`."""
        if self.number is None:
            raise BrokerUnavailable(
                "the versions of this channel type's schema have not been read from the broker yet"
            )
        return self._stamp


def stamped(
    version: TypeVersion | None, attributes: Mapping[str, str] | None
) -> Mapping[str, str] | None:
    """The attributes of an event of a type with this version. Raises BrokerUnavailable."""
    if version is None:
        return attributes
    return {**attributes, **version.stamp()} if attributes else version.stamp()


def next_version(
    name: str, version: TypeVersion, schemas: SchemaPair, kept: Sequence[KeptSchema]
) -> KeptSchema:
    """The version of a type's schema: a kept one, or a new one that may follow them.

    Raises ConfigurationError for a change that breaks the type's compatibility, or a version that
    cannot be given.
    """
    newest = max((each.version for each in kept), default=0)
    wanted = version.wanted
    same = [each for each in kept if each.is_of(schemas)]
    if wanted is None:
        found = max(same, key=lambda each: each.version, default=None)
    else:
        found = next((each for each in same if each.version == wanted), None)
    if found is not None:
        return found
    if wanted is not None and wanted <= newest:
        taken = any(each.version == wanted for each in kept)
        why = f"version {wanted} is another schema" if taken else f"version {newest} is the newest"
        raise ConfigurationError(
            f"channels.{name}.version is {wanted}, and {why}; give it {newest + 1}"
        )
    number = newest + 1 if wanted is None else wanted
    _check(name, number, version.compatibility, schemas, kept)
    return KeptSchema(number, schemas)


def _check(
    name: str, number: int, mode: Compatibility, schemas: SchemaPair, kept: Sequence[KeptSchema]
) -> None:
    """Raises ConfigurationError if the schema breaks the mode as this version."""
    older = sorted(kept, key=lambda each: -each.version)
    for each in older if mode.transitive else older[:1]:
        if changes := pair_faults(each.schemas, schemas, mode):
            shown = "".join(f"\n  {change}" for change in changes[:SHOWN_CHANGES])
            more = f"\n  and {len(changes) - SHOWN_CHANGES} more" * (len(changes) > SHOWN_CHANGES)
            raise ConfigurationError(
                f"channels.{name}: its schema cannot be version {number}, because "
                f"channels.{name}.compatibility is {mode} and it breaks version {each.version}:"
                f"{shown}{more}"
            )


def _text(schemas: SchemaPair) -> bytes:
    return orjson.dumps([schemas.stored, schemas.accepted], option=orjson.OPT_SORT_KEYS)
