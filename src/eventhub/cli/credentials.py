"""Options and helpers that `key new` and `token new` share."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from eventhub.cli.output import refuse
from eventhub.events.since import parse_age

GRANT_HINT = (
    "grant it something with --publish, --subscribe, --presence, --signal, --moderate or "
    "--refused, and a channel pattern"
)

ChannelPatterns = Annotated[
    list[str] | None, typer.Option(help="Channel pattern to grant; may be repeated")
]


def lifetime_of(text: str) -> timedelta:
    """Parse an age such as 90d. Exits if it is no age or ends after the year 9999."""
    try:
        age = timedelta(milliseconds=parse_age(text))
        datetime.now(UTC) + age
    except ValueError as error:
        refuse(f"{error}")
    except OverflowError:
        refuse(f"an age is {text[:40]!r}; expected one that ends before the year 10000")
    return age
