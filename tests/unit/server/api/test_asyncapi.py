"""server/api/asyncapi.py: which schema stands where. That the document is valid is judged by
AsyncAPI's own parser (conformance).
"""

import re
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from eventhub.events.channels import ChannelTypes, PublisherKind
from eventhub.events.schema import AnySchema, ModelSchema
from eventhub.server.api.asyncapi import document
from tests.builders import channel_type


class Money(BaseModel):
    """Is stored with another name than it is sent with."""

    cents: int = 0


def made() -> Any:
    kinds = [
        replace(
            channel_type(schema=ModelSchema(Money)),
            name="money",
            publish=frozenset({PublisherKind.CLIENT}),
        ),
        replace(
            channel_type(),
            name="logs",
            schema=AnySchema(),
            publish=frozenset({PublisherKind.PRODUCER}),
        ),
    ]
    return document(ChannelTypes({kind.name: kind for kind in kinds}), "hub.example", secure=True)


def test_events_have_the_schema_of_what_is_stored_and_publishes_that_of_what_is_accepted() -> None:
    messages = made()["components"]["messages"]
    assert messages["event-money"]["payload"]["properties"]["data"] == {
        "$ref": "#/components/schemas/money.stored"
    }
    assert messages["send-publish-money"]["payload"]["properties"]["data"] == {
        "$ref": "#/components/schemas/money.accepted"
    }
    assert {"money.stored", "money.accepted"} <= set(made()["components"]["schemas"])


def test_a_client_is_offered_what_it_may_publish() -> None:
    said = [name for name in made()["components"]["messages"] if name.startswith("send-publish")]
    assert said == ["send-publish-money"]
    offered = [
        message["$ref"].rpartition("/")[2] for message in made()["operations"]["obey"]["messages"]
    ]
    assert "send-publish-money" in offered


def test_a_publish_names_a_channel_of_its_type() -> None:
    pattern = made()["components"]["messages"]["send-publish-money"]["payload"]["properties"][
        "channel"
    ]["pattern"]
    assert [
        bool(re.search(pattern, name)) for name in ("money", "money.a", "moneys", "a.money")
    ] == [True, True, False, False]
