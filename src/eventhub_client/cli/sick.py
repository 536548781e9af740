"""What a check of `eventhub doctor` found wrong, and what to do about it."""

from eventhub_client.errors import HubError

ANOTHER_CHANNEL = "give --channel and --event that this credential may publish to and subscribe to"
_CHANNEL_CODES = {"forbidden", "unknown_channel", "invalid_channel", "invalid_event", "not_found"}


class Sick(Exception):
    """A check failed. `advice` says what to do."""

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(what)
        self.advice = advice

    @classmethod
    def refused(cls, code: str, what: str | HubError) -> "Sick":
        """The server refused with this error code."""
        known = code in _CHANNEL_CODES
        return cls(str(what), ANOTHER_CHANNEL if known else "see PROTOCOL.md, Errors")
