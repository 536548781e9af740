"""server/api/asyncapi.py: which schema is where. AsyncAPI's own parser checks that
the document is valid (tests/conformance).
"""

import re
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from eventhub.events.channel_types import ChannelTypes, PublisherKind
from eventhub.events.schema import AnySchema, ModelSchema
from eventhub.server.api.asyncapi import document
from tests.harness.builders import channel_type


class Money(BaseModel):
    """Its stored form differs from its accepted form."""

    cents: int = 0


def made_document() -> Any:
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


def test_events_have_the_stored_schema_and_publishes_the_accepted_one() -> None:
    messages = made_document()["components"]["messages"]
    assert messages["event-money"]["payload"]["properties"]["data"] == {
        "$ref": "#/components/schemas/money.stored"
    }
    assert messages["send-publish-money"]["payload"]["properties"]["data"] == {
        "$ref": "#/components/schemas/money.accepted"
    }
    assert {"money.stored", "money.accepted"} <= set(made_document()["components"]["schemas"])


def test_only_types_that_clients_may_publish_have_a_publish_message() -> None:
    names = [
        name
        for name in made_document()["components"]["messages"]
        if name.startswith("send-publish")
    ]
    assert names == ["send-publish-money"]
    offered = [
        message["$ref"].rpartition("/")[2]
        for message in made_document()["operations"]["obey"]["messages"]
    ]
    assert "send-publish-money" in offered


def test_a_publish_names_a_channel_of_its_type() -> None:
    pattern = made_document()["components"]["messages"]["send-publish-money"]["payload"][
        "properties"
    ]["channel"]["pattern"]
    assert [
        bool(re.search(pattern, name)) for name in ("money", "money.a", "moneys", "a.money")
    ] == [True, True, False, False]
