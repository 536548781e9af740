"""events/references.py: who may refer to which event, and how."""

from dataclasses import replace

import pytest

from eventhub.auth.grants import EVERYTHING, Action, Grants
from eventhub.auth.principal import STRANGER, CredentialKind, Principal
from eventhub.errors import EventHubError, Forbidden, InvalidRequest, NotFound
from eventhub.events.channel_types import ChannelType
from eventhub.events.event import Event, Position
from eventhub.events.keys import KeySource
from eventhub.events.references import Reference, Relation, reference, with_reference
from tests.harness.builders import channel_type

PLAIN = replace(channel_type(), name="chat")
KEYED = replace(PLAIN, key=KeySource("/id"))
WRITER = Grants({Action.PUBLISH: [">"]})
TARGET = Position("e", 7)


def of(name: str, grants: Grants = WRITER) -> Principal:
    return Principal(CredentialKind.TOKEN, name, grants)


def asked(relation: Relation, principal: Principal) -> Reference:
    found = reference("chat.a", PLAIN, principal, "e-7", relation)
    assert found is not None
    return found


def stored(**attributes: str) -> Event:
    return Event("chat.a", "e", 7, 6, 0, b"1", attributes or None)


def test_without_either_field_there_is_no_reference() -> None:
    assert reference("chat.a", PLAIN, of("ana"), None, None) is None


@pytest.mark.parametrize(
    ("kind", "refers", "relation", "message"),
    [
        (PLAIN, "e-7", None, "refers is given without relation"),
        (PLAIN, None, "edit", "relation is given without refers"),
        (PLAIN, "e-7", "like", "relation is 'like'; expected edit or delete or reaction"),
        (PLAIN, "e-7", "Edit", "relation is 'Edit'; expected"),
        (PLAIN, "e-0", "edit", "refers is 'e-0'; expected the id of an event"),
        (PLAIN, "7", "edit", "refers is '7'; expected the id of an event"),
        (PLAIN, "", "edit", "refers is ''; expected"),
        (PLAIN, "e-" + "9" * 30, "edit", "refers is 'e-999"),
        (PLAIN, "latest", "edit", "refers is 'latest'; expected"),
        (KEYED, "e-7", "delete", "channel type 'chat' has keys; expected the deletion of a key"),
    ],
)
def test_a_malformed_reference_is_refused(
    kind: ChannelType, refers: str | None, relation: str | None, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        reference("chat.a", kind, of("ana"), refers, relation)


def test_types_with_keys_take_edits_and_reactions() -> None:
    for relation in (Relation.EDIT, Relation.REACTION):
        assert reference("chat.a", KEYED, of("ana"), "e-7", relation) is not None


def test_the_reference_is_stored_beside_other_attributes() -> None:
    assert with_reference({"by": "ana"}, asked(Relation.EDIT, of("ana"))) == {
        "by": "ana",
        "refers": "e-7",
        "relation": "edit",
    }
    assert with_reference(None, asked(Relation.REACTION, STRANGER)) == {
        "refers": "e-7",
        "relation": "reaction",
    }


MODERATOR = Grants({Action.PUBLISH: [">"], Action.MODERATE: ["chat.a"]})
ELSEWHERE = Grants({Action.PUBLISH: [">"], Action.MODERATE: ["chat.b"]})


@pytest.mark.parametrize("relation", [Relation.EDIT, Relation.DELETE])
@pytest.mark.parametrize(
    ("principal", "target", "refused"),
    [
        (of("ana"), stored(by="ana"), None),
        (of("ana"), stored(by="rui"), Forbidden),
        (of("ana"), stored(), Forbidden),
        (of("ana", MODERATOR), stored(by="rui"), None),
        (of("ana", MODERATOR), stored(), None),
        (of("ana", ELSEWHERE), stored(by="rui"), Forbidden),
        (STRANGER, stored(), Forbidden),
        (STRANGER, stored(by="ana"), Forbidden),
        (Principal(CredentialKind.ANONYMOUS, "", EVERYTHING), stored(by="ana"), None),
        (of("ana"), None, NotFound),
        (of("ana", MODERATOR), None, NotFound),
        (of("ana"), stored(by="ana", relation="edit", refers="e-3"), InvalidRequest),
        (of("ana"), stored(by="ana", relation="delete", refers="e-3"), InvalidRequest),
    ],
)
def test_the_author_and_moderators_edit_and_delete(
    relation: Relation,
    principal: Principal,
    target: Event | None,
    refused: type[EventHubError] | None,
) -> None:
    check = asked(relation, principal).check
    if refused is None:
        check("chat.a", target)
    else:
        with pytest.raises(refused, match=r"e-7"):
            check("chat.a", target)


def test_everybody_who_publishes_reacts_to_an_event_that_refers_to_none() -> None:
    asked(Relation.REACTION, of("ana")).check("chat.a", stored(by="rui"))
    asked(Relation.REACTION, STRANGER).check("chat.a", stored())
    with pytest.raises(InvalidRequest, match="event of relation reaction"):
        asked(Relation.REACTION, of("ana")).check("chat.a", stored(relation="reaction"))


def test_a_reaction_is_deleted_by_its_author_and_never_edited() -> None:
    reaction = stored(by="ana", relation="reaction", refers="e-3")
    asked(Relation.DELETE, of("ana")).check("chat.a", reaction)
    with pytest.raises(Forbidden):
        asked(Relation.DELETE, of("rui")).check("chat.a", reaction)
    with pytest.raises(InvalidRequest):
        asked(Relation.EDIT, of("ana")).check("chat.a", reaction)
