"""Which version a schema has."""

from typing import Any

import pytest

from eventhub.errors import BrokerUnavailable, ConfigurationError
from eventhub.events.compatibility.changes import Compatibility, SchemaPair
from eventhub.events.compatibility.versions import (
    SHOWN_CHANGES,
    KeptSchema,
    TypeVersion,
    next_version,
)

BACKWARD = Compatibility.BACKWARD


def pair(kind: str, **more: Any) -> SchemaPair:
    schema = {"type": kind, **more}
    return SchemaPair(schema, schema)


INTEGER, NUMBER, TEXT = pair("integer"), pair("number"), pair("string")
KEPT = [KeptSchema(1, INTEGER), KeptSchema(4, NUMBER)]


def found(
    schemas: SchemaPair,
    kept: list[KeptSchema] = KEPT,
    wanted: int | None = None,
    mode: Compatibility = Compatibility.NONE,
) -> KeptSchema:
    return next_version("orders", TypeVersion(mode, wanted), schemas, kept)


def refusal(
    schemas: SchemaPair, wanted: int | None = None, mode: Compatibility = Compatibility.NONE
) -> str:
    with pytest.raises(ConfigurationError) as caught:
        found(schemas, wanted=wanted, mode=mode)
    return str(caught.value)


@pytest.mark.parametrize(
    ("schemas", "wanted", "version"),
    [(INTEGER, None, 1), (NUMBER, None, 4), (INTEGER, 1, 1), (TEXT, None, 5), (TEXT, 7, 7)],
)
def test_a_known_schema_has_its_version_and_a_new_one_the_next_or_that_which_is_asked_for(
    schemas: SchemaPair, wanted: int | None, version: int
) -> None:
    assert found(schemas, wanted=wanted) == KeptSchema(version, schemas)


def test_the_first_schema_is_version_1_or_that_which_is_asked_for() -> None:
    assert found(TEXT, []).version == 1
    assert found(TEXT, [], wanted=3).version == 3


def test_a_schema_that_was_replaced_can_become_a_new_version() -> None:
    assert found(INTEGER, wanted=5) == KeptSchema(5, INTEGER)


def test_the_order_of_members_makes_no_new_version() -> None:
    kept = [KeptSchema(1, pair("object", minProperties=1))]
    schema = {"minProperties": 1, "type": "object"}
    assert found(SchemaPair(schema, schema), kept).version == 1


def test_a_version_that_is_taken_or_too_low_is_refused_with_the_next_one() -> None:
    assert refusal(TEXT, wanted=4) == (
        "channels.orders.version is 4, and version 4 is another schema; give it 5"
    )
    assert refusal(TEXT, wanted=2) == (
        "channels.orders.version is 2, and version 4 is the newest; give it 5"
    )


def test_a_schema_that_breaks_the_newest_version_is_refused_with_place_rule_and_versions() -> None:
    assert refusal(INTEGER, wanted=5, mode=BACKWARD) == (
        "channels.orders: its schema cannot be version 5, because channels.orders.compatibility is "
        "backward and it breaks version 4:\n"
        '  /type: the new schema has type "integer"; the old schema has type "number" '
        "(type_narrowed, backward)"
    )


def test_only_a_transitive_mode_compares_older_versions() -> None:
    kept = [KeptSchema(1, TEXT), KeptSchema(2, INTEGER)]
    assert found(NUMBER, kept, mode=BACKWARD).version == 3
    with pytest.raises(ConfigurationError, match="it breaks version 1:"):
        found(NUMBER, kept, mode=Compatibility.BACKWARD_TRANSITIVE)


def test_a_refusal_shows_a_bounded_number_of_changes() -> None:
    names = [f"n{number}" for number in range(SHOWN_CHANGES + 2)]
    kept = [KeptSchema(1, pair("object"))]
    with pytest.raises(ConfigurationError) as caught:
        found(pair("object", required=names), kept, mode=BACKWARD)
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + SHOWN_CHANGES + 1
    assert lines[-1] == "  and 2 more"


def test_a_record_is_read_as_it_was_written() -> None:
    kept = KeptSchema(3, SchemaPair({"type": "string"}, {"type": ["string", "integer"]}))
    assert KeptSchema.load(kept.dump()) == kept


def test_events_are_refused_until_the_version_is_known() -> None:
    version = TypeVersion()
    with pytest.raises(BrokerUnavailable, match="have not been read from the broker yet"):
        version.stamp()
    version.settle(2, 3)
    assert version.stamp() == {"schema": "2"}
