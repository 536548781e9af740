"""Parameters that several routes share, and the check that no unknown one was sent."""

from typing import Annotated

from fastapi import Path, Query, Request

from eventhub.common.channel_pattern import ChannelPattern
from eventhub.errors import InvalidRequest

Match = Annotated[
    str, Query(description="A pattern of names, such as iot.> or chat.*; > is every channel")
]
Where = Annotated[
    str | None,
    Query(description='A filter in CEL, such as data.level == "error": only events that match'),
]
Channel = Annotated[str, Path(description="The channel's name, such as chat.lobby")]


def pattern_of(match: str) -> ChannelPattern:
    """Raises InvalidRequest."""
    try:
        return ChannelPattern(match)
    except ValueError as error:
        raise InvalidRequest(f"match is no pattern: {error}") from None


def check_parameters(request: Request, *known: str, repeated: str | None = None) -> None:
    """Raises InvalidRequest if a query parameter is unknown, or repeated unless it may be.

    Otherwise a typo in `since` would skip events silently.
    """
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            expected = " and ".join(known) or "none"
            raise InvalidRequest(
                f"the query parameter {name[:40]!r} is unknown; expected {expected}"
            )
        if name in seen and name != repeated:
            raise InvalidRequest(f"the query parameter {name[:40]!r} is given more than once")
        seen.add(name)
