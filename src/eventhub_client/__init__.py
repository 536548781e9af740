"""The Python client of EventHub.

`eventhub_client.sync` is for programs without an event loop, `eventhub_client.logging` sends logs.
"""

from eventhub_client.cursors import Cursor, FileCursor
from eventhub_client.errors import (
    Conflict,
    Forbidden,
    HubError,
    InvalidData,
    InvalidEvent,
    NotFound,
    Refused,
    Unauthorized,
    Unavailable,
    UnknownChannel,
)
from eventhub_client.hub import Hub
from eventhub_client.items import (
    Deletion,
    Event,
    Gap,
    Item,
    Loaded,
    Member,
    Presence,
    Receipt,
    Signal,
    State,
)
from eventhub_client.members import Membership
from eventhub_client.outbox import Waiting
from eventhub_client.publisher import Publisher

__all__ = [
    "Conflict",
    "Cursor",
    "Deletion",
    "Event",
    "FileCursor",
    "Forbidden",
    "Gap",
    "Hub",
    "HubError",
    "InvalidData",
    "InvalidEvent",
    "Item",
    "Loaded",
    "Member",
    "Membership",
    "NotFound",
    "Presence",
    "Publisher",
    "Receipt",
    "Refused",
    "Signal",
    "State",
    "Unauthorized",
    "Unavailable",
    "UnknownChannel",
    "Waiting",
]
