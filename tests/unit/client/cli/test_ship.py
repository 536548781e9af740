"""eventhub_client/cli/ship.py: whatever a line holds, it is an event."""

import json

import pytest

from eventhub_client.cli.ship import payload_of


def test_an_object_is_an_event() -> None:
    assert payload_of('{"level": "error", "message": "é"}').json == (
        '{"level":"error","message":"é"}'.encode()
    )


@pytest.mark.parametrize(
    "line",
    [
        "plain words", "[1]", "7", "null", "{", '{"a":NaN}', '{"a":1e999}', '{"a":-Infinity}',
        r'{"a":"\ud800"}', r'{"\udfff":1}', "[" * 100_000, '{"a":' * 100_000,
        '{"a":' + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_any_other_line_is_a_message(line: str) -> None:
    assert json.loads(payload_of(line).json) == {"level": "info", "message": line}
