"""server/connections/limit_errors.py: each error names its limit."""

from eventhub.server.connections.limit_errors import too_large


def test_too_large_names_the_limit() -> None:
    error = too_large("the message is larger", "event_bytes", 65536)
    assert error.code == "payload_too_large"
    assert (
        error.message
        == "the message is larger; at most 65536 bytes are allowed (limits.event_bytes)"
    )
