"""Parameters that several routes share, and the check that no unknown one was sent."""

from typing import Annotated

from fastapi import Path, Request

from eventhub.errors import InvalidRequest

Channel = Annotated[str, Path(description="The channel's name, such as chat.lobby")]


def check_parameters(request: Request, *known: str) -> None:
    """Raises InvalidRequest if a query parameter is unknown or repeated.

    Otherwise a typo in `since` would skip events silently.
    """
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            expected = " and ".join(known) or "none"
            raise InvalidRequest(
                f"the query parameter {name[:40]!r} is unknown; expected {expected}"
            )
        if name in seen:
            raise InvalidRequest(f"the query parameter {name[:40]!r} is given more than once")
        seen.add(name)
