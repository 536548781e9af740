"""`eventhub presence`: who is in a channel."""

import json
from typing import Annotated
from urllib.parse import quote

import typer

from eventhub_client.cli.exits import command
from eventhub_client.cli.output import output_option
from eventhub_client.cli.target import ApiKeyOption, ContextName, Server, TokenOption, target_of


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
    target = target_of(server, context, token, api_key)
    answer = target.request("GET", f"/v1/channels/{quote(channel, safe='')}/presence")
    if output == "json":
        typer.echo(json.dumps(answer))
        return
    for member in answer["members"]:
        data = f"  {json.dumps(member['data'], ensure_ascii=False)}" if "data" in member else ""
        typer.echo(f"{member['id']}{data}")
