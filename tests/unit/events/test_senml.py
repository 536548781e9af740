"""events/senml.py: how the records of a pack are resolved (RFC 8428, 4.6)."""

from typing import Any

import pytest

from eventhub.errors import InvalidEvent
from eventhub.events.senml import RELATIVE, SenmlPack

NOW = 1_790_000_000.5


def resolved(*records: Any) -> list[dict[str, Any]]:
    pack = SenmlPack(NOW)
    return [pack.resolved(record) for record in records]


def test_the_example_of_the_rfc_with_several_data_points() -> None:
    """RFC 8428, 5.1.3 and 5.1.4."""
    base = {"bn": "urn:dev:ow:10e2073a01080063:", "bt": 1.320067464e9, "bu": "%RH"}
    found = resolved(
        {**base, "v": 20},
        {"u": "lon", "v": 24.30621},
        {"t": 60, "v": 20.3},
        {"n": "voltage", "u": "V", "v": 120.1},
    )
    name = base["bn"]
    assert found == [
        {"v": 20, "n": name, "u": "%RH", "t": 1320067464.0},
        {"u": "lon", "v": 24.30621, "n": name, "t": 1320067464.0},
        {"t": 1320067524.0, "v": 20.3, "n": name, "u": "%RH"},
        {"n": f"{name}voltage", "u": "V", "v": 120.1, "t": 1320067464.0},
    ]


@pytest.mark.parametrize(
    ("time", "absolute"),
    [(0, NOW), (-5, NOW - 5), (RELATIVE - 1, NOW + RELATIVE - 1), (RELATIVE, RELATIVE)],
)
def test_a_small_time_is_relative_to_now(time: float, absolute: float) -> None:
    assert resolved({"n": "a", "v": 1, "t": time})[0]["t"] == absolute


def test_base_values_are_added_until_they_change() -> None:
    found = resolved(
        {"n": "a", "bv": 10, "v": 1}, {"n": "a"}, {"n": "a", "bv": 0, "v": 1}, {"n": "a", "vs": "x"}
    )
    assert [record.get("v") for record in found] == [11, 10, 1, None]


def test_base_sums_are_added_to_sums() -> None:
    assert [record["s"] for record in resolved({"n": "a", "bs": 5, "s": 1}, {"n": "a"})] == [6, 5]


def test_a_field_that_nobody_knows_is_left_out_unless_it_must_be_understood() -> None:
    assert "x" not in resolved({"n": "a", "v": 1, "x": 1})[0]
    with pytest.raises(InvalidEvent, match="must be understood"):
        resolved({"n": "a", "v": 1, "x_": 1})


def test_a_version_is_kept_unless_it_is_the_usual_one() -> None:
    assert "bver" not in resolved({"bver": 10, "n": "a", "v": 1})[0]
    assert resolved({"bver": 9, "n": "a", "v": 1}, {"n": "a", "v": 1})[1]["bver"] == 9


@pytest.mark.parametrize(
    "record",
    [
        5,
        {"bn": 5},
        {"n": None},
        {"bt": "now"},
        {"bv": True},
        {"t": "x"},
        {"bver": 11},
        {"bver": 1.5},
        {"bv": 1.5e308, "v": 1.5e308},
        {"bt": 1.5e308, "t": 1.5e308},
    ],
)
def test_the_error_names_the_record(record: Any) -> None:
    with pytest.raises(InvalidEvent, match="record 2 of the SenML pack"):
        resolved({"n": "a", "v": 1}, record)


def test_a_pack_has_one_version() -> None:
    with pytest.raises(InvalidEvent, match="another version"):
        resolved({"bver": 9, "n": "a", "v": 1}, {"bver": 8})
