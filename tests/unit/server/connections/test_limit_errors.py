"""server/connections/limit_errors.py: each error names its limit, in its text and for metrics."""

import pytest

from eventhub.errors import EventHubError
from eventhub.server.connections.limit_errors import no_first_message, too_large, too_slow


@pytest.mark.parametrize(
    ("error", "code", "limit", "text"),
    [
        (
            too_large("the message is larger", "event_bytes", 65536),
            "payload_too_large",
            "event_bytes",
            "the message is larger; at most 65536 bytes are allowed (limits.event_bytes)",
        ),
        (
            too_slow("the body", 30.0),
            "request_timeout",
            "body_seconds",
            "the body was not complete after 30 seconds, "
            "and a second more for each 1024 bytes of it (limits.body_seconds)",
        ),
        (
            no_first_message(2.5),
            "request_timeout",
            "first_frame_seconds",
            "no message came within 2.5 seconds and the address names no channel; "
            "expected a command, or ?channel=… (limits.first_frame_seconds)",
        ),
    ],
)
def test_an_error_names_its_limit(error: EventHubError, code: str, limit: str, text: str) -> None:
    assert (error.code, error.limit, error.message) == (code, limit, text)
