"""Events that refer to an earlier one of their channel: its edit, its deletion, or a reaction.

The log keeps each as an event of its own, and changes nothing that it has. The reference is stored
with the event, as attributes that no publisher sets among its own.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from eventhub.auth.grants import Action
from eventhub.auth.principal import Principal
from eventhub.errors import Forbidden, InvalidRequest, NotFound
from eventhub.events.channel_types import ChannelType
from eventhub.events.event import BY, REFERS, RELATION, Event, Position
from eventhub.events.since import parse_event_id


class Relation(StrEnum):
    """What an event is to the one that it refers to."""

    EDIT = "edit"
    """Its new version."""
    DELETE = "delete"
    """Says that it is no longer meant to be seen. Its data is null."""
    REACTION = "reaction"


class Reference(NamedTuple):
    """What a publisher asks for: a relation to the event at `target`.

    `author` is the publisher's name, None if it has no credential. `moderates`: it may edit and
    delete the events of others.
    """

    target: Position
    relation: Relation
    author: str | None
    moderates: bool

    @property
    def attributes(self) -> dict[str, str]:
        """The attributes that store it."""
        return {REFERS: str(self.target), RELATION: self.relation.value}

    def check(self, channel: str, found: Event | None) -> None:
        """Check it against the event at its target. Raises NotFound, InvalidRequest, Forbidden."""
        if found is None:
            raise NotFound(
                f"refers is {self.target}; expected the id of an event that the log of {channel!r} "
                "still has"
            )
        attributes = found.attributes or {}
        if (before := attributes.get(RELATION)) is not None and not (
            before == Relation.REACTION and self.relation is Relation.DELETE
        ):
            raise InvalidRequest(
                f"refers is {self.target}, which is an event of relation {before}; expected an "
                "event that refers to none, or a reaction to delete"
            )
        if self.relation is Relation.REACTION or self.moderates:
            return
        if self.author is None or attributes.get(BY) != self.author:
            raise Forbidden(
                f"the {self.relation} of {self.target} needs its author, or the grant "
                f"{Action.MODERATE} for {channel!r}"
            )


def reference(
    channel: str,
    channel_type: ChannelType,
    principal: Principal,
    refers: str | None,
    relation: str | None,
) -> Reference | None:
    """The reference that a publisher asks for. None if it names neither. Raises InvalidRequest."""
    if refers is None and relation is None:
        return None
    if refers is None or relation is None:
        given, missing = ("relation", "refers") if refers is None else ("refers", "relation")
        raise InvalidRequest(f"{given} is given without {missing}; expected both or neither")
    target = parse_event_id(refers, "refers")
    if relation not in set(Relation):
        raise InvalidRequest(f"relation is {relation[:40]!r}; expected {' or '.join(Relation)}")
    if channel_type.key is not None and relation == Relation.DELETE:
        raise InvalidRequest(
            f"relation is delete, and channel type {channel_type.name!r} has keys; expected the "
            "deletion of a key (PROTOCOL.md, Deleting a key)"
        )
    moderates = principal.may(Action.MODERATE, channel, channel_type.anonymous)
    return Reference(target, Relation(relation), principal.author, moderates)


def with_reference(attributes: Mapping[str, str] | None, reference: Reference) -> Mapping[str, str]:
    """The attributes to store for an event with this reference."""
    return {**(attributes or {}), **reference.attributes}
