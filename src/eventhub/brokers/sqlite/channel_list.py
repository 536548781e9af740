"""The list of channels, read page by page."""

import sqlite3
from collections.abc import Callable
from typing import NamedTuple

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.common.sorted_names import SCAN
from eventhub.errors import UnknownChannel
from eventhub.events.channel_types import Retention
from eventhub.events.event import ChannelPage, ChannelSummary, Position

NAMES = """
SELECT id, name, trimmed, epoch FROM channels, origin
WHERE name > :after AND name >= :prefix AND name < :prefix || char(127)
ORDER BY name LIMIT :scan
"""
NEWEST = "SELECT offset, number, time FROM events WHERE channel = ? ORDER BY offset DESC LIMIT 1"
FIRST = "SELECT number FROM events WHERE channel = ? AND offset > ? ORDER BY offset LIMIT 1"


class ChannelsQuery(NamedTuple):
    """A call of `Broker.channels`, and the time of the call."""

    pattern: ChannelPattern
    after: str
    limit: int
    now: int


def read_channels(
    connection: sqlite3.Connection, query: ChannelsQuery, retention: Callable[[str], Retention]
) -> ChannelPage:
    """A page of the list. Raises sqlite3.Error."""
    pattern = query.pattern
    parameters = {"after": query.after, "prefix": pattern.prefix, "scan": SCAN + 1}
    found: list[ChannelSummary] = []
    reached = query.after
    rows = connection.execute(NAMES, parameters).fetchall()
    for looked, (row, name, trimmed, epoch) in enumerate(rows):
        if looked == SCAN or len(found) == query.limit:
            return ChannelPage(found, reached)
        reached = name
        if not pattern.covers(name):
            continue
        try:
            kept = retention(name)
        except UnknownChannel:  # its type is no longer declared
            continue
        newest = connection.execute(NEWEST, [row]).fetchone()
        if newest is None or newest[0] <= trimmed or kept.events == 0:
            continue
        offset, number, time = newest
        if not isinstance(time, int):  # the row is unreadable
            continue
        if kept.age is not None and time < query.now - kept.age:
            continue
        (first,) = connection.execute(FIRST, [row, trimmed]).fetchone()
        events = min(number - first + 1, kept.events)
        found.append(ChannelSummary(name, Position(epoch, offset), time, events))
    return ChannelPage(found, None)
