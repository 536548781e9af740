"""cli/sick.py: what `doctor` advises when the server refuses."""

import pytest

from eventhub_client.cli.sick import ANOTHER_CHANNEL, Sick


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("forbidden", ANOTHER_CHANNEL),
        ("unknown_channel", ANOTHER_CHANNEL),
        ("invalid_event", ANOTHER_CHANNEL),
        ("too_many_channels", "see PROTOCOL.md, Errors"),
    ],
)
def test_the_advice_fits_the_error_code(code: str, advice: str) -> None:
    sick = Sick.refused(code, "what was refused")
    assert (str(sick), sick.advice) == ("what was refused", advice)
