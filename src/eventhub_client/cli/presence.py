"""`eventhub presence`: who is in a channel."""

import json
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

import typer

from eventhub_client.cli.exits import command
from eventhub_client.cli.output import output_option, visible
from eventhub_client.cli.target import (
    ApiKeyOption,
    ContextName,
    Server,
    Target,
    TokenOption,
    target_of,
)


@command
def presence(
    channel: Annotated[str, typer.Argument(metavar="CHANNEL")],
    *,
    output: Annotated[str, output_option("text", "json")] = "text",
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """List the members of a channel, on all nodes."""
    answer = _all_pages(target_of(server, context, token, api_key), channel)
    if output == "json":
        typer.echo(json.dumps(answer))
        return
    for member in answer["members"]:
        data = f"  {json.dumps(member['data'], ensure_ascii=False)}" if "data" in member else ""
        typer.echo(visible(f"{member['id']}{data}"))


def _all_pages(target: Target, channel: str) -> dict[str, Any]:
    path = f"/v1/channels/{quote(channel, safe='')}/presence"
    query: dict[str, Any] = {}
    members: list[Mapping[str, Any]] = []
    while True:
        page = target.request("GET", path, query=query)
        members += page["members"]
        if page.get("next") is None:
            return {**page, "members": members}
        query["after"] = page["next"]
