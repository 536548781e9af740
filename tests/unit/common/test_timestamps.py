"""common/timestamps.py: times in text (RFC 3339, 5.6)."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventhub.common.timestamps import TIMESTAMP_LENGTH, check_timestamp


@given(st.datetimes(timezones=st.timezones()))
def test_every_time_of_a_clock_is_one(time: datetime) -> None:
    text = time.replace(second=59).isoformat()
    if len(text) in (25, 32):  # an offset with seconds is none of RFC 3339
        assert check_timestamp(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "1990-12-31T23:59:60Z",
        "1990-12-31T15:59:60-08:00",
        "1937-01-01T12:00:27.87+00:20",
        "1985-04-12t23:20:50.52z",
        f"1985-04-12T23:20:50.{'1' * (TIMESTAMP_LENGTH - 21)}Z",
    ],
)
def test_the_examples_of_the_rfc_are_kept_as_they_are(text: str) -> None:
    assert check_timestamp(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "1990-12-31T23:60:00Z",
        "1990-12-31T23:59:61Z",
        "1990-12-31T24:00:00Z",
        "1990-12-32T23:59:00Z",
        "1990-00-31T23:59:00Z",
        "1990-12-31T23:59:00",
        "1990-12-31T23:59:00+1:00",
        "1990-12-31T23:59:00+01:60",
        "1990-12-31T23:59:00,5Z",
        "90-12-31T23:59:00Z",
        " 1990-12-31T23:59:00Z",
        f"1985-04-12T23:20:50.{'1' * (TIMESTAMP_LENGTH - 20)}Z",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        check_timestamp(text)
