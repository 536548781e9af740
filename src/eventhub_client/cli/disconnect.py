"""`eventhub disconnect`: end the connections of somebody, for operators."""

from typing import Annotated

import typer

from eventhub_client.cli.exits import command, say
from eventhub_client.cli.target import ApiKeyOption, ContextName, Server, TokenOption, target_of


@command
def disconnect(
    *,
    subject: Annotated[str | None, typer.Option(help="The subject of a token")] = None,
    key: Annotated[str | None, typer.Option("--key", help="The name of an API key")] = None,
    token_id: Annotated[str | None, typer.Option(help="The id (jti) of a token")] = None,
    block: Annotated[
        str | None,
        typer.Option("--block", metavar="TIME", help="Refuse them for a time, such as 15m"),
    ] = None,
    server: Server = None,
    context: ContextName = None,
    token: TokenOption = None,
    api_key: ApiKeyOption = None,
) -> None:
    """End the connections of a principal or token on all nodes. Needs an operator's API key."""
    named = {"subject": subject, "key": key, "token": token_id}
    body = {name: value for name, value in named.items() if value is not None}
    if len(body) != 1:
        raise ValueError("expected one of --subject, --key and --token-id")
    path = "/v1/admin/disconnect"
    if block is not None:
        path, body = "/v1/admin/blocks", {**body, "for": block}
    answer = target_of(server, context, token, api_key).request("POST", path, body=body)
    until = f", refused until {answer['until']}" if block is not None else ""
    typer.echo(f"{answer['disconnected']} connections ended{until}")
    if not answer["complete"]:
        say("a node did not answer; its connections may still be open")
