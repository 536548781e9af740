"""The Python client of EventHub.

`eventhub_client.sync` is for programs without an event loop, `eventhub_client.logging` sends logs.
"""

from eventhub_client.cursors import Cursor, FileCursor
from eventhub_client.errors import (
    Forbidden,
    HubError,
    InvalidData,
    InvalidEvent,
    Refused,
    Unauthorized,
    Unavailable,
    UnknownChannel,
)
from eventhub_client.hub import Hub
from eventhub_client.items import Event, Gap, Receipt, Signal

__all__ = [
    "Cursor",
    "Event",
    "FileCursor",
    "Forbidden",
    "Gap",
    "Hub",
    "HubError",
    "InvalidData",
    "InvalidEvent",
    "Receipt",
    "Refused",
    "Signal",
    "Unauthorized",
    "Unavailable",
    "UnknownChannel",
]
