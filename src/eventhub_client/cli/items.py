"""Events and gaps as lines: for people, as JSON, or as a format that the caller gives."""

import json
import string
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from rich.text import Text

from eventhub_client.items import Deletion, Gap, Item

COLORS = ("cyan", "green", "magenta", "yellow", "blue", "bright_red", "bright_cyan", "bright_green")
EVENT_FIELDS = (
    "type",
    "channel",
    "id",
    "time",
    "data",
    "key",
    "deleted",
    "attributes",
    "by",
    "refers",
    "relation",
)
GAP_FIELDS = ("reason", "after", "before", "position", "skipped")
FIELDS = (*EVENT_FIELDS, *GAP_FIELDS)
Line = Callable[[Item[Any]], Text]


def line_of(output: str) -> Line:
    """The line of an item. `output` is text, json, or a format such as '{time} {data[message]}'.

    Raises ValueError for a format that cannot be used.
    """
    if output == "json":
        return lambda item: Text(json.dumps(fields_of(item), ensure_ascii=False))
    if output == "text":
        return _text
    if "{" not in output:
        raise ValueError(
            f"received -o {output}; expected text, json, or a format such as "
            "'{time} {channel} {data[message]}'"
        )
    _check(output)
    formatter = _Forgiving()
    return lambda item: Text(formatter.format(output, **fields_of(item)))


def fields_of(item: Item[Any]) -> dict[str, Any]:
    """An item as the fields of its message (PROTOCOL.md)."""
    if isinstance(item, Gap):
        gap = {
            "type": "gap",
            "channel": item.channel,
            "reason": item.reason,
            "after": item.after,
            "before": item.before,
            "position": item.position,
            "skipped": item.skipped,
        }
        return {name: value for name, value in gap.items() if value is not None}
    event: dict[str, Any] = {
        "type": "event",
        "channel": item.channel,
        "id": item.id,
        "time": rfc3339(item.time),
        "data": None if isinstance(item, Deletion) else item.data,
    }
    if item.key is not None:
        event["deleted" if isinstance(item, Deletion) else "key"] = item.key
    if item.attributes:
        event["attributes"] = dict(item.attributes)
    if item.by is not None:
        event["by"] = item.by
    if item.refers is not None:
        event["refers"] = item.refers
        event["relation"] = "delete" if isinstance(item, Deletion) else item.relation
    return event


def _text(item: Item[Any]) -> Text:
    color = COLORS[sum(item.channel.encode()) % len(COLORS)]
    channel = (item.channel, color)
    if isinstance(item, Gap):
        text = f" missed for good ({item.reason}): after {item.after}, before {item.before}"
        return Text.assemble(channel, (text, "bold red"))
    clock = item.time.astimezone().strftime("%H:%M:%S.%f")[:-3]
    author = (f" {item.by}", "bold") if item.by else ("", "")
    if isinstance(item, Deletion):
        return Text.assemble(
            (clock, "dim"), " ", channel, author, (f" deleted {item.key or item.refers}", "red")
        )
    data = json.dumps(item.data, ensure_ascii=False, separators=(",", ":"))
    return Text.assemble((clock, "dim"), " ", channel, author, " ", data)


def rfc3339(moment: datetime) -> str:
    """A time as the protocol writes it, such as `2026-11-22T20:06:00.123Z`."""
    text = moment.astimezone(timezone.utc).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _check(output: str) -> None:
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(output) if name is not None]
    except ValueError as error:
        raise ValueError(f"the format {output!r} cannot be used: {error}") from None
    for name in names:
        if name.partition("[")[0] not in FIELDS:
            raise ValueError(
                f"the format {output!r} has {{{name}}}; expected one of {', '.join(FIELDS)}, "
                "or a part of it such as {data[text]}"
            )


class _Forgiving(string.Formatter):
    """A field that an item does not have is empty: channels differ, and gaps have no data."""

    def get_field(
        self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[Any, str]:
        try:
            value, first = super().get_field(field_name, args, kwargs)
        except (KeyError, IndexError, AttributeError, TypeError):
            return "", field_name
        return value, str(first)

    def format_field(self, value: Any, format_spec: str) -> str:
        try:
            return str(super().format_field(value, format_spec))
        except (ValueError, TypeError):
            return str(value)
