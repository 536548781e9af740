"""filters/fields.py: what expressions see of an event, and for how long it is kept."""

import pytest

from eventhub.events.event import Event
from eventhub.filters import fields
from eventhub.filters.fields import NAMES, RecentFields
from tests.unit.filters.filtering import event


def test_attributes_are_those_that_have_no_name_of_their_own() -> None:
    given = event({"n": 1}, source="/a", by="ana", key="k", subject="s")
    found = RecentFields().of(given)
    assert found["attributes"] == {"source": "/a", "subject": "s"}
    assert (found["by"], found["key"], found["deleted"]) == ("ana", "k", None)
    assert found["id"] == "k-7"
    bare = RecentFields().of(given._replace(attributes=None))
    assert (bare["attributes"], bare["by"]) == ({}, None)
    assert {"by", "key", "deleted", "refers", "relation"} < NAMES


def test_all_filters_share_what_was_parsed_of_an_event() -> None:
    recent, one = RecentFields(), event({"n": 1})
    assert recent.of(one)["data"] is recent.of(one)["data"]
    assert recent.of(event({"n": 1})) is not recent.of(one)


@pytest.mark.parametrize(
    ("events", "size", "kept"), [(3, 10_000, 3), (10, 30, 3), (10, 29, 2), (10, 1, 1)]
)
def test_few_events_and_bytes_are_kept(
    monkeypatch: pytest.MonkeyPatch, events: int, size: int, kept: int
) -> None:
    monkeypatch.setattr(fields, "KEPT_EVENTS", events)
    monkeypatch.setattr(fields, "KEPT_BYTES", size)
    recent, sizes = RecentFields(), list[int]()
    for _ in range(20):
        recent.of(event()._replace(data=b"0123456789"))
        sizes.append(len(recent._kept))
    assert max(sizes[:10]) == max(sizes[10:]) == kept


def test_an_event_that_is_looked_at_again_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "KEPT_BYTES", 20)
    recent = RecentFields()
    first: Event = event()._replace(data=b"0123456789")
    found = recent.of(first)
    for _ in range(5):
        assert recent.of(first) is found
    recent.of(event()._replace(data=b"0123456789"))
    assert recent.of(first) is found


def test_the_version_of_a_schema_is_a_number() -> None:
    given = event({"n": 1}, schema="12")
    found = RecentFields().of(given)
    assert (found["schema"], found["attributes"]) == (12, {})
    assert RecentFields().of(given._replace(attributes=None))["schema"] is None
