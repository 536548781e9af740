"""The command line: this file assembles the commands, and each command has a file of its own.

A command is imported when it is used, so that `eventhub tail` does not load the server.
"""

from typing import Annotated

import typer

from eventhub import __version__
from eventhub_client.cli import COMMANDS
from eventhub_client.cli.lazy import lazy_group

SERVER = {
    "serve": "eventhub.cli.serve:serve",
    "check": "eventhub.cli.check:check",
    "schema": "eventhub.cli.schema:app",
    "key": "eventhub.cli.new_key:app",
    "token": "eventhub.cli.new_token:app",
}

app = typer.Typer(
    name="eventhub",
    cls=lazy_group(SERVER | COMMANDS),
    help="Real-time event broadcast over typed channels.",
    no_args_is_help=True,
    # pretty exceptions may show local variables, and some of those are secrets
    pretty_exceptions_enable=False,
)


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
