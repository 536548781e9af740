"""The command `publish`, and its answer."""

from typing import Any

import orjson
import pytest

from eventhub.auth.grants import EVERYTHING
from eventhub.auth.principal import CredentialKind, Principal
from eventhub.errors import (
    RateLimited,
    ShuttingDown,
)
from eventhub.events.event import NewEvent, Position, Receipt
from tests.harness.builders import Guest
from tests.unit.session.session_client import (
    NOW,
    Client,
)

WRITER = Principal(CredentialKind.TOKEN, "ana", EVERYTHING)


def test_a_publish_is_submitted_canonical_with_its_ref_and_the_time() -> None:
    client = Client()
    assert (
        client.raw(
            b'{"type":"publish", "channel":"chat.a", '
            b'"data": {"sender": "ana", "text": "oi"}, "ref": 9}'
        )
        == []
    )
    assert client.submitted == [(9, NewEvent("chat.a", b'{"sender":"ana","text":"oi"}', NOW))]


def test_a_publish_carries_its_key_and_attributes() -> None:
    client = Client()
    attributes = {"source": "s" * 256, "subject": "é", "type": "t", "traceparent": "00"}
    attributes |= {"id": "i", "time": "2026-11-22T20:06:00Z"}
    client.send(
        type="publish", channel="free", data=None, key="!" + "~" * 127, attributes=attributes
    )
    client.send(type="publish", channel="free", data=None, key=None, attributes={})
    assert [(event.data, event.key, event.attributes) for _, event in client.submitted] == [
        (b"null", "!" + "~" * 127, attributes),
        (b"null", None, None),
    ]


def test_an_event_carries_the_principal_that_published_it() -> None:
    client = Client(guest=Guest(WRITER))
    client.send(type="publish", channel="free", data=1)
    client.send(type="publish", channel="free", data=1, attributes={"source": "s"})
    assert [event.attributes for _, event in client.submitted] == [
        {"by": "ana"},
        {"by": "ana", "source": "s"},
    ]
    forged = client.send(type="publish", channel="free", data=1, attributes={"by": "rui"})
    assert [answer["code"] for answer in forged] == ["invalid_frame"]
    assert len(client.submitted) == 2


def test_a_type_may_refuse_events_with_another_sender() -> None:
    client = Client(guest=Guest(WRITER))
    (refused,) = client.send(type="publish", channel="named", data={"sender": "rui", "text": "x"})
    assert (refused["code"], refused["details"][0]["pointer"]) == ("invalid_event", "/sender")
    assert client.node.calls == [("rejected", "named invalid_event")]
    assert client.send(type="publish", channel="named", data={"sender": "ana", "text": "x"}) == []
    assert len(client.submitted) == 1


@pytest.mark.parametrize("data", [None, False, 0, "", [], {}, {"a": [1.5, "x"]}])
def test_any_json_value_is_data(data: Any) -> None:
    client = Client()
    assert client.send(type="publish", channel="free", data=data) == []
    assert orjson.loads(client.submitted[0][1].data) == data


@pytest.mark.parametrize(
    ("channel", "data", "code"),
    [
        ("zzz", 1, "unknown_channel"),
        ("a b", 1, "invalid_channel"),
        ("logs.api", 1, "forbidden"),
        ("chat", {"sender": "ana"}, "invalid_event"),
    ],
)
def test_a_publish_that_is_refused_is_counted_and_answered(
    channel: str, data: Any, code: str
) -> None:
    client = Client()
    assert client.refused(type="publish", channel=channel, data=data, ref=1)["code"] == code
    assert client.node.calls == [("rejected", f"{channel} {code}")]
    assert client.submitted == []


def test_the_error_points_at_the_faults_of_an_event() -> None:
    reply = Client().refused(
        type="publish", channel="chat", data={"sender": "", "text": "oi", "x/y": 1}
    )
    assert [fault["pointer"] for fault in reply["details"]] == ["/sender", "/x~1y"]


def test_a_publish_needs_no_subscription() -> None:
    client = Client()
    client.send(type="publish", channel="free", data=1)
    assert client.node.calls == []


def test_a_published_event_is_answered_with_its_position_and_time() -> None:
    client = Client()
    client.session.published("p", "free.a", Receipt(Position("k3x9", 43), NOW))
    client.session.published(None, "free.a", Receipt(Position("k3x9", 43), NOW, replayed=True))
    fields = {
        "type": "published",
        "channel": "free.a",
        "id": "k3x9-43",
        "time": "2026-11-22T20:06:00.123Z",
    }
    assert client.heard() == [{**fields, "ref": "p"}, fields]


def test_an_event_that_was_not_stored_is_answered_with_the_error() -> None:
    client = Client()
    client.session.published(4, "free.a", ShuttingDown("soon"))
    assert client.heard() == [
        {"type": "error", "ref": 4, "code": "shutting_down", "message": "soon", "retry_after": 1.0}
    ]


def test_an_event_is_charged_before_it_is_validated() -> None:
    client = Client()
    client.send(type="publish", channel="free", data=1)
    client.guest.refusal = RateLimited("too many", retry_after=0.25)
    refusal = client.refused(type="publish", channel="chat", data="of another kind")
    assert (refusal["code"], refusal["retry_after"]) == ("rate_limited", 0.25)
    assert (client.guest.charged, len(client.submitted)) == (["free"], 1)
