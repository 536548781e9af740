"""The command line of publishers, readers and operators. Each command has a file of its own.

`eventhub` (the server's distribution) has these commands, too. They need typer and rich:
`pip install 'eventhub-client[cli]'`.
"""

from importlib.metadata import version
from typing import Annotated

import typer

from eventhub_client.cli.lazy import lazy_group

COMMANDS = {
    name: f"eventhub_client.cli.{name}:{name}"
    for name in (
        "pub",
        "tail",
        "ship",
        "channels",
        "presence",
        "disconnect",
        "top",
        "bench",
        "doctor",
    )
} | {
    "context": "eventhub_client.cli.context:app",
    "refused": "eventhub_client.cli.refused:app",
}

app = typer.Typer(
    name="eventhub-client",
    cls=lazy_group(COMMANDS),
    help="Publish to EventHub and follow its channels.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # they may show local variables, and some of those are secrets
)


def _show_version(asked: bool) -> None:  # noqa: FBT001  # typer's signature
    if asked:
        typer.echo(version("eventhub-client"))
        raise typer.Exit


@app.callback()
def main(
    shown: Annotated[
        bool | None,
        typer.Option("--version", help="Print the version", is_eager=True, callback=_show_version),
    ] = None,
) -> None:
    """Publish to EventHub and follow its channels."""
