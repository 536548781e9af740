"""foreign_payloads.py: what Alertmanager sends, and records of SenML."""

from typing import Any

import pytest
from pydantic import ValidationError

from eventhub.events.foreign_payloads import AlertmanagerNotification, SenmlRecord

ALERT = {
    "status": "firing",
    "labels": {"alertname": "Down"},
    "annotations": {},
    "startsAt": "2026-11-30T20:00:00.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus/graph",
    "fingerprint": "61af11a0c3d7a5f6",
}
NOTIFICATION = {
    "version": "4",
    "groupKey": '{}:{alertname="Down"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "eventhub",
    "groupLabels": {"alertname": "Down"},
    "commonLabels": {"alertname": "Down"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "alerts": [ALERT],
}


def test_a_notification_of_alertmanager_is_taken_as_it_is() -> None:
    found = AlertmanagerNotification.model_validate(NOTIFICATION)
    assert found.model_dump() == NOTIFICATION


def test_a_field_of_a_later_alertmanager_is_kept() -> None:
    later = NOTIFICATION | {"newField": 1, "alerts": [ALERT | {"another": {"a": 1}}]}
    assert AlertmanagerNotification.model_validate(later).model_dump() == later


@pytest.mark.parametrize(
    "change",
    [
        {"version": "5"},
        {"status": "pending"},
        {"alerts": [ALERT | {"startsAt": "yesterday"}]},
        {"groupLabels": {"a": 1}},
        {"truncatedAlerts": -1},
    ],
)
def test_another_notification_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AlertmanagerNotification.model_validate(NOTIFICATION | change)


@pytest.mark.parametrize("value", [{"v": 1}, {"vs": ""}, {"vb": False}, {"vd": "aa"}, {"s": 0}])
def test_a_record_has_a_value_or_a_sum(value: dict[str, Any]) -> None:
    SenmlRecord.model_validate({"n": "urn:dev:ow:10e2", **value})


@pytest.mark.parametrize(
    "record",
    [
        {"n": "a"},
        {"n": "a", "v": 1, "vs": "x"},
        {"n": "", "v": 1},
        {"n": "-a", "v": 1},
        {"n": "a b", "v": 1},
        {"n": "a" * 257, "v": 1},
        {"n": "a", "vd": "a+/="},
        {"n": "a", "v": 1, "ut": -1},
        {"n": "a", "v": 1, "bn": "x"},
    ],
)
def test_another_record_is_refused(record: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SenmlRecord.model_validate(record)
