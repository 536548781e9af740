"""The command line: this file assembles the commands, and each command has a file of its own."""

from typing import Annotated

import typer

from eventhub import __version__
from eventhub.cli import check, new_key, new_token, schema, serve
from eventhub_client.cli import add_commands

app = typer.Typer(
    name="eventhub",
    help="Real-time event broadcast over typed channels.",
    no_args_is_help=True,
    # pretty exceptions may show local variables, and some of those are secrets
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="API keys, for producers.", no_args_is_help=True)
tokens = typer.Typer(help="Tokens, for subscribers.", no_args_is_help=True)

app.command("serve")(serve.serve)
app.command("check")(check.check)
app.command("schema")(schema.schema)
app.add_typer(keys, name="key")
app.add_typer(tokens, name="token")
keys.command("new")(new_key.new_api_key)
tokens.command("new")(new_token.new_token)
add_commands(app)


def _show_version(asked: bool) -> None:  # noqa: FBT001  # typer's signature
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool | None,
        typer.Option("--version", help="Print the version", is_eager=True, callback=_show_version),
    ] = None,
) -> None:
    """Real-time event broadcast over typed channels."""
