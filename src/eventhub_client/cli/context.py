"""`eventhub context`: store, choose and list servers."""

import sys
from typing import Annotated

import typer

from eventhub_client.address import Address
from eventhub_client.cli.contexts import Context, Contexts
from eventhub_client.cli.exits import command

Name = Annotated[str, typer.Argument(metavar="NAME")]
app = typer.Typer(help="Servers that you use often.", no_args_is_help=True)


@app.command()
@command
def add(
    name: Name,
    url: Annotated[str, typer.Argument(metavar="URL", help="Such as https://hub.example")],
    *,
    token: Annotated[bool, typer.Option("--token", help="Ask for a token")] = False,
    api_key: Annotated[bool, typer.Option("--api-key", help="Ask for an API key")] = False,
) -> None:
    """Store a server. A credential is asked for, or read from standard input."""
    Address.of(url)
    if token and api_key:
        raise ValueError("received --token and --api-key; expected at most one of them")
    secret = _secret("Token" if token else "API key") if token or api_key else None
    contexts = Contexts()
    contexts.add(name, Context(url, secret if token else None, secret if api_key else None))
    typer.echo(f"{name}: {url}{' (current)' if contexts.current == name else ''}")


@app.command()
@command
def use(name: Name) -> None:
    """Choose the server of the commands that follow."""
    contexts = Contexts()
    contexts.use(name)
    typer.echo(f"{name}: {contexts.get(name).url}")


@app.command("ls")
@command
def list_all() -> None:
    """List the stored servers. `*` marks the current one. Credentials are not shown."""
    contexts = Contexts()
    for name, each in sorted(contexts.by_name.items()):
        mark = "*" if name == contexts.current else " "
        kind = "token" if each.token else "API key" if each.api_key else "no credential"
        typer.echo(f"{mark} {name}  {each.url}  {kind}")


@app.command("rm")
@command
def remove(name: Name) -> None:
    """Forget a server."""
    Contexts().remove(name)


def _secret(kind: str) -> str:
    given = (
        typer.prompt(kind, hide_input=True) if sys.stdin.isatty() else sys.stdin.readline()
    ).strip()
    if not given:
        raise ValueError(f"received an empty {kind}; expected it on standard input")
    return str(given)
