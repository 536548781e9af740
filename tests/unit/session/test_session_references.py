"""session/publishing.py: events with keys, and events that refer to others."""

from dataclasses import replace
from typing import Any

import pytest

from eventhub.auth.grants import EVERYTHING
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.events.channel_types import ChannelTypes
from eventhub.events.event import ABSENT, NewEvent, Position
from eventhub.events.keys import KeySource
from eventhub.events.references import Reference, Relation
from eventhub.session.commands import Ref
from tests.harness.builders import Guest
from tests.unit.session.session_client import NOW, TYPES, Client

WRITER = Principal(CredentialKind.TOKEN, "ana", EVERYTHING)
TARGET = Position("k3x9", 7)


class Author(Client):
    """A client of `orders`, whose events have keys, and what it publishes."""

    def __init__(self) -> None:
        super().__init__(guest=Guest(WRITER))
        types = {kind.name: kind for kind in TYPES}
        types["orders"] = replace(types["free"], name="orders", key=KeySource("/id"))
        self.node.types = ChannelTypes(types)
        self.references: list[Reference | None] = []

    def submit(self, ref: Ref, event: NewEvent, reference: Reference | None = None) -> None:
        super().submit(ref, event, reference)
        self.references.append(reference)

    def publish(self, channel: str, **fields: Any) -> tuple[NewEvent, Reference | None]:
        assert self.send(type="publish", channel=channel, **fields) == []
        return self.submitted[-1][1], self.references[-1]


def test_a_deletion_is_an_event_with_its_key_its_author_and_its_precondition() -> None:
    event, reference = Author().publish(
        "orders.a", deleted="x", key="once", if_match="k3x9-7", attributes={"subject": "s"}
    )
    attributes = {"subject": "s", "by": "ana", "deleted": "x"}
    assert event == NewEvent("orders.a", b"null", NOW, attributes, "once", TARGET)
    assert reference is None


def test_a_value_has_its_key_and_may_expect_that_there_is_none() -> None:
    event, _ = Author().publish("orders.a", data={"id": "x"}, if_match="none", key="once")
    assert event.attributes == {"by": "ana", "key": "x"}
    assert (event.key, event.expected) == ("once", ABSENT)


@pytest.mark.parametrize("relation", ["edit", "reaction"])
def test_an_event_that_refers_to_another_is_stored_with_its_reference(relation: str) -> None:
    event, reference = Author().publish(
        "free.a",
        data={"n": 1},
        refers="k3x9-7",
        relation=relation,
        key="once",
        attributes={"subject": "s"},
    )
    assert event.data == b'{"n":1}'
    assert event.key == "once"
    assert event.attributes == {
        "subject": "s",
        "by": "ana",
        "refers": "k3x9-7",
        "relation": relation,
    }
    assert reference == Reference(TARGET, Relation(relation), "ana", moderates=True)


def test_the_deletion_of_an_event_has_no_data() -> None:
    event, reference = Author().publish("free.a", refers="k3x9-7", relation="delete", key="once")
    attributes = {"by": "ana", "refers": "k3x9-7", "relation": "delete"}
    assert event == NewEvent("free.a", b"null", NOW, attributes, "once")
    assert reference is not None
    assert reference.relation is Relation.DELETE


def test_an_edit_may_have_a_precondition() -> None:
    event, _ = Author().publish(
        "orders.a", data={"id": "x"}, refers="k3x9-7", relation="edit", if_match="k3x9-7"
    )
    assert event.expected == TARGET


@pytest.mark.parametrize(
    ("channel", "fields", "part"),
    [
        ("free.a", {"data": 1, "if_match": "none"}, "if_match needs keys"),
        ("free.a", {"deleted": "x"}, "a deletion needs keys"),
        (
            "orders.a",
            {"deleted": "x", "refers": "k3x9-7", "relation": "edit"},
            "has refers, and deleted or if_match",
        ),
        (
            "free.a",
            {"refers": "k3x9-7", "relation": "delete", "if_match": "none"},
            "has refers, and deleted or if_match",
        ),
        ("free.a", {"signal": True, "data": 1, "refers": "k3x9-7"}, "refers or relation"),
        ("free.a", {"signal": True, "data": 1, "relation": "edit"}, "refers or relation"),
        ("free.a", {"signal": True, "data": 1, "if_match": "none"}, "deleted or if_match"),
        ("free.a", {"signal": True, "deleted": "x"}, "deleted or if_match"),
    ],
)
def test_what_does_not_go_together_is_refused(
    channel: str, fields: dict[str, Any], part: str
) -> None:
    author = Author()
    types = {kind.name: kind for kind in author.node.types}
    signals = replace(types["free"].signals, publish=types["free"].publish)
    author.node.types = ChannelTypes({**types, "free": replace(types["free"], signals=signals)})
    reply = author.refused(type="publish", channel=channel, ref=1, **fields)
    assert part in reply["message"]
    assert (author.submitted, author.node.signals) == ([], [])


def test_a_signal_of_a_type_that_checks_senders_has_its_author() -> None:
    author = Author()
    types = {kind.name: kind for kind in author.node.types}
    named = types["named"]
    signals = replace(named.signals, publish=named.publish)
    author.node.types = ChannelTypes({**types, "named": replace(named, signals=signals)})
    message = {"type": "publish", "signal": True, "channel": "named.a"}
    assert author.send(**message, data={"sender": "ana", "text": "oi"}) == []
    assert author.refused(**message, data={"sender": "bob", "text": "oi"})["code"] == (
        "invalid_event"
    )
