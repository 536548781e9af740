"""Autobahn's fuzzing client, without the cases that take long (`make autobahn`)."""

from pathlib import Path

import pytest

from tests import SETTINGS
from tests.conformance.autobahn import PYTHON, SHORT, judge


@pytest.mark.timeout(900)
def test_autobahn_finds_no_fault_in_the_fast_lane(tmp_path: Path) -> None:
    if not PYTHON.exists() and not SETTINGS.get("EVENTHUB_TEST_REQUIRE"):
        pytest.skip("needs Autobahn's test suite (make test installs it)")
    verdicts = judge(tmp_path, SHORT, seconds=850)
    assert len(verdicts) == 265
    assert {case: verdict for case, verdict in verdicts.items() if not verdict.expected(case)} == {}
