"""`eventhub channels`: what is there."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from eventhub_client.cli.exits import command, say
from eventhub_client.cli.output import output_option
from eventhub_client.cli.target import (
    ApiKeyOption,
    ContextName,
    Server,
    Target,
    TokenOption,
    target_of,
)

COLUMNS = ("name", "events", "subscribers", "members", "time", "head")


@command
def channels(
    pattern: Annotated[str, typer.Argument(metavar="PATTERN", help="Such as 'iot.>'")] = ">",
    *,
    limit: Annotated[int, typer.Option(min=1, help="At most so many")] = 1000,
    output: Annotated[str, output_option("text", "json")] = "text",
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """List the channels that have events or subscribers, on all nodes."""
    listing = _listing(target_of(server, context, token, api_key), pattern, limit)
    if output == "json":
        for each in listing:
            typer.echo(json.dumps(each))
        return
    table = Table(*COLUMNS, box=None, pad_edge=False)
    for each in listing:
        table.add_row(*("-" if each[name] is None else str(each[name]) for name in COLUMNS))
    Console(soft_wrap=True).print(table)


def _listing(target: Target, pattern: str, limit: int) -> Iterator[dict[str, Any]]:
    query: dict[str, Any] = {"match": pattern, "limit": min(limit, 1000)}
    while limit > 0:
        page = target.request("GET", "/v1/channels", query=query)
        yield from page["channels"][:limit]
        limit -= len(page["channels"])
        if not page["complete"]:
            say("a node did not answer; its subscribers are not counted")
        if page["next"] is None:
            return
        query["after"] = page["next"]
    say("there are more; see --limit")
