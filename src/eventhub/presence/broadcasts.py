"""Messages between nodes about their members: how they are written, and checked when they come.

A message names its node. `news` are changes, `rooms` all members by channel, in both cases with
`data`: rows of channel, member, version and data, for members that have any.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from eventhub.auth.principal import MEMBER_BYTES
from eventhub.common.strict_json import dump
from eventhub.presence.member_data import LAST_VERSION, NOTHING, Data, Place

NODE_LENGTH = 64
"""Characters of a node's id."""
BATCH = 250
"""Members in one message: at most 160 KB, with the longest names and with ids that JSON escapes."""
DATA_BYTES = 64 * 1024
"""Data in one message, with the names in its rows. With BATCH, a message stays below 256 KiB."""
ROW_BYTES = 640
"""The longest names in a row of data, with ids that JSON escapes."""


class Row(NamedTuple):
    """What a node tells of one member there. `data` is None if it has left."""

    channel: str
    member: str
    data: Data | None


def batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Split rows into those of one message each."""
    begin = size = 0
    for index, row in enumerate(rows):
        cost = ROW_BYTES + len(row.data.json) if row.data not in (None, NOTHING) else 0
        if index > begin and (index - begin >= BATCH or size + cost > DATA_BYTES):
            yield rows[begin:index]
            begin, size = index, 0
        size += cost
    if begin < len(rows):
        yield rows[begin:]


def news(rows: Sequence[Row]) -> dict[str, Any]:
    """The fields of a message with changes."""
    changes = [(row.channel, row.member, row.data is not None) for row in rows]
    return {"news": changes, **_data(rows)}


def parts(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """The fields of the messages with all members."""
    found = list(batches(rows)) or [[]]
    for index, part in enumerate(found):
        by_channel: dict[str, list[str]] = {}
        for row in part:
            by_channel.setdefault(row.channel, []).append(row.member)
        last = index == len(found) - 1
        yield {"part": index, "last": last, "rooms": by_channel, **_data(part)}


def _data(rows: Sequence[Row]) -> dict[str, Any]:
    data = [
        (row.channel, row.member, row.data.version, orjson.Fragment(row.data.json or b"null"))
        for row in rows
        if row.data not in (None, NOTHING)
    ]
    return {"data": data} if data else {}


def check(fields: Any) -> dict[Place, Data]:
    """The data in a message of another node.

    Raises an error of any kind unless the whole message is valid: half of it would leave stale
    members.
    """
    changes, by_channel = fields.get("news", []), fields.get("rooms", {})
    types = [(str, str, bool)] * len(changes)
    if not (
        isinstance(fields["node"], str)
        and 0 < len(fields["node"]) <= NODE_LENGTH
        and ("ask" in fields or type(fields["number"]) is int)
        and [tuple(map(type, change)) for change in changes] == types
        and all(
            type(members) is list and all(type(member) is str for member in members)
            for members in by_channel.values()
        )
        and (
            "rooms" not in fields
            or (
                type(fields["part"]) is int and fields["part"] >= 0 and type(fields["last"]) is bool
            )
        )
    ):
        raise ValueError(
            "expected a node's id, a number, and members that are texts, in a part with a number"
        )
    return dict(_checked(fields["node"], *row) for row in fields.get("data", ()))


def _checked(node: str, channel: str, member: str, version: int, data: Any) -> tuple[Place, Data]:
    json = b"" if data is None else dump(data)
    if not (
        type(channel) is type(member) is str
        and type(version) is int
        and NOTHING.version < version <= LAST_VERSION
        and (data is None or type(data) is dict)
        and len(json) <= MEMBER_BYTES
    ):
        raise ValueError(
            f"expected a channel, a member, a version and an object of at most {MEMBER_BYTES} bytes"
        )
    return (channel, member), Data(version, node, json)
